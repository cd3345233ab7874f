#include "analysis/pictures/html_view.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/explain/blockers.h"
#include "analysis/figures/format.h"
#include "analysis/pictures/picture.h"

namespace bubblescope {
namespace {

using nlohmann::ordered_json;

/// As a JSON block of a page may have it: ASCII, without what could end the block.
std::string inside_page(const ordered_json& json) {
  const std::string text = json.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
  std::string out;
  for (const char c : text)
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  return out;
}

/// "gap":[0,10,…]
class NumberArray {
 public:
  explicit NumberArray(std::string_view key) : text_(fmt::format("\"{}\":[", key)) {}

  void add(std::int64_t number) {
    separate();
    fmt::format_to(std::back_inserter(text_), "{}", number);
  }
  void add(const std::vector<std::int64_t>& numbers) {
    separate();
    fmt::format_to(std::back_inserter(text_), "[{}]", fmt::join(numbers, ","));
  }
  void add_null() {
    separate();
    text_ += "null";
  }
  std::string take() && { return std::move(text_) + "]"; }

 private:
  void separate() {
    if (text_.back() != '[')
      text_ += ',';
  }
  std::string text_;
};

std::int64_t number_of(const Op& op) {
  return static_cast<std::int64_t>(op.stage_and_kind());
}

class HtmlData {
 public:
  explicit HtmlData(const Analysis& run)
      : run_(run),
        picture_(run),
        graph_(run.graph),
        schedule_(graph_.schedule()),
        report_(run.report),
        blockers_(graph_, run.timeline) {}

  std::string write() {
    std::string text = head();
    const std::string lines[] = {stages(), actions(), pairs(), bubbles(), path(), messages()};
    for (const std::string& line : lines)
      text += ",\n" + line;
    return text + "}";
  }

 private:
  std::string head() const {
    const TimeUnit unit = TimeUnit::fit(report_.step_time);
    ordered_json figures = ordered_json::array(
        {{"step time", unit.format(report_.step_time)},
         {"bubble fraction", format_percent(report_.bubble_fraction)},
         {"bubble overhead", format_percent(report_.bubble_overhead)},
         {"peak live activations", std::to_string(report_.peak_live_activations)}});
    if (report_.peak_memory)
      figures.push_back({"peak memory", format_bytes(*report_.peak_memory)});
    if (report_.iteration)
      figures.push_back({"iteration", unit.format(report_.iteration->time)});
    const Placement& placement = picture_.placement();
    std::string shades = shade_words(placement, 0);
    if (!shades.empty())
      shades = fmt::format("light: {}, dark: {}", shades, shade_words(placement, 1));
    const ordered_json head = {{"name", schedule_.name}, {"setting", setting(report_)},
                               {"figures", figures},     {"ranks", placement.ranks},
                               {"shades", shades},       {"step", picture_.step.length().count()}};
    std::string text = inside_page(head);
    text.pop_back();  // the last brace, which comes later
    return text;
  }

  /// Shades of stages; bytes that an op of a stage adds, where they are known.
  std::string stages() const {
    NumberArray shade("shade");
    NumberArray activation("activation");
    const bool knows_bytes = graph_.costs().tells_sizes();
    for (Stage stage = 0; stage < picture_.placement().stages(); ++stage) {
      shade.add(picture_.shades[static_cast<std::size_t>(stage)]);
      for (std::uint32_t kind = 0; knows_bytes && kind < kOpKinds; ++kind)
        activation.add(graph_.costs().activation_change({static_cast<OpKind>(kind), stage, 0}));
    }
    return std::move(shade).take() + "," + std::move(activation).take();
  }

  std::string actions() const {
    NumberArray first("first");
    NumberArray gap("gap");
    NumberArray time("time");
    NumberArray op("op");
    NumberArray mb("mb");
    for (const std::size_t begin : schedule_.first_action)
      first.add(static_cast<std::int64_t>(begin));
    std::size_t rank = 0;
    Time before = picture_.step.start;
    for (std::size_t i = 0; i < schedule_.actions.size(); ++i) {
      for (; i == schedule_.first_action[rank + 1]; ++rank)
        before = picture_.step.start;
      const Span& span = picture_.span_of_action(i);
      gap.add((span.start - before).count());
      time.add(span.length().count());
      op.add(number_of(schedule_.actions[i].op()));
      mb.add(schedule_.actions[i].op().microbatch());
      before = span.end;
    }
    std::string text;
    for (NumberArray* each : {&first, &gap, &time, &op, &mb})
      text += std::move(*each).take() + (each == &mb ? "" : ",\n");
    return text;
  }

  std::string pairs() const {
    NumberArray action("action");
    NumberArray op("op");
    NumberArray mb("mb");
    NumberArray share("share");  // of the forward, in thousandths
    for (std::size_t i = 0; i < schedule_.actions.size(); ++i) {
      const Action& pair = schedule_.actions[i];
      if (!pair.is_pair())
        continue;
      action.add(static_cast<std::int64_t>(i));
      op.add(number_of(pair.overlapped()));
      mb.add(pair.overlapped().microbatch());
      share.add(static_cast<std::int64_t>(1000 * picture_.forward_share(pair)));
    }
    std::string text = "\"pairs\":{";
    for (NumberArray* each : {&action, &op, &mb, &share})
      text += std::move(*each).take() + (each == &share ? "}" : ",");
    return text;
  }

  std::string bubbles() {
    NumberArray cause("cause");
    NumberArray length("length");
    NumberArray blocker("blocker");
    for (const Bubble& bubble : picture_.bubbles) {
      cause.add(static_cast<std::int64_t>(bubble.cause));
      length.add(bubble.span.length().count());
      add_blockers(bubble, blocker);
    }
    return std::move(cause).take() + ",\n" + std::move(length).take() + ",\n" +
           std::move(blocker).take();
  }

  /// The bubble's own first, then those that tie with it.
  void add_blockers(const Bubble& bubble, NumberArray& out) {
    if (bubble.blocking == bubble.waiting)
      return out.add_null();
    const std::vector<NodeId> all = blockers_.of(bubble);
    if (all.size() < 2)
      return out.add(name_of(bubble.blocking));
    std::vector<std::int64_t> names = {name_of(bubble.blocking)};
    for (const NodeId node : all)
      if (node != bubble.blocking)
        names.push_back(name_of(node));
    out.add(names);
  }

  std::string path() {
    NumberArray path("path");
    for (const NodeId node : run_.path().nodes)
      path.add(name_of(node));
    return std::move(path).take();
  }

  /// An action's index, or −1 − that of a message, which is listed when it is named first.
  std::int64_t name_of(NodeId node) {
    if (!graph_.is_message(node))
      return graph_.action_index()[node];
    const auto next = static_cast<std::int64_t>(messages_.size());
    const auto [found, is_new] = message_names_.try_emplace(node, -1 - next);
    if (is_new)
      messages_.push_back(node);
    return found->second;
  }

  std::string messages() const {
    std::string text = "\"messages\":[";
    for (const NodeId node : messages_) {
      const MessageNode& message = graph_.message(node);
      fmt::format_to(
          std::back_inserter(text), R"({}{{"op":{},"mb":{},"from":{},"to":{},"producer":{}}})",
          text.back() == '[' ? "" : ",", number_of(message.output), message.output.microbatch(),
          message.from, message.to, graph_.action_index()[message.producer]);
    }
    return text + "]";
  }

  const Analysis& run_;
  Picture picture_;
  const DependencyGraph& graph_;
  const Schedule& schedule_;
  const Report& report_;
  Blockers blockers_;
  std::map<NodeId, std::int64_t> message_names_;
  std::vector<NodeId> messages_;  // by name
};

/// What all schedules of a page share.
std::string common_data() {
  ordered_json kinds = ordered_json::array();
  for (std::uint32_t i = 0; i < kOpKinds; ++i) {
    const auto kind = static_cast<OpKind>(i);
    ordered_json paints = ordered_json::array();
    for (std::size_t shade = 0; shade < kShades; ++shade)
      paints.push_back(
          {{"fill", box_paint(kind, shade).fill}, {"ink", box_paint(kind, shade).ink}});
    kinds.push_back({{"words", kind_words(kind)}, {"paints", paints}});
  }
  ordered_json causes = ordered_json::array();
  for (std::size_t i = 0; i < kBubbleCauses; ++i) {
    const auto cause = static_cast<BubbleCause>(i);
    causes.push_back({{"words", cause_name(cause)},
                      {"lines", hatch(cause).lines},
                      {"dotted", hatch(cause).is_dotted}});
  }
  std::string text = inside_page({{"tile", kHatchTile}, {"kinds", kinds}, {"causes", causes}});
  text.pop_back();
  return text;
}

int digit_of(char hexadecimal) {
  return hexadecimal <= '9' ? hexadecimal - '0' : hexadecimal - 'a' + 10;
}

/// As a content-security policy names a hash.
std::string base64_of_hex(std::string_view hex) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < hex.size(); i += 6) {  // three bytes are four digits
    unsigned bits = 0;
    const std::size_t left = std::min<std::size_t>(hex.size() - i, 6);
    for (std::size_t j = 0; j < 6; ++j)
      bits = bits * 16 + (j < left ? static_cast<unsigned>(digit_of(hex[i + j])) : 0U);
    for (std::size_t j = 0; j < 4; ++j)
      text += j <= left / 2 ? kDigits[(bits >> (18 - 6 * j)) & 63U] : '=';
  }
  return text;
}

std::string policy(const PageFiles& files) {
  return fmt::format(
      "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; "
      "base-uri 'none'; form-action 'none'",
      base64_of_hex(files.js_sha256), base64_of_hex(files.css_sha256));
}

}  // namespace

std::string html_data(const Analysis& run) {
  return HtmlData(run).write();
}

std::string html_view(const std::vector<std::string>& schedules) {
  const PageFiles files = page_files();
  std::string data = common_data() + ",\n\"schedules\":[";
  for (const std::string& schedule : schedules)
    data += (data.back() == '[' ? "\n" : ",\n") + schedule;
  data += "\n]}";
  const std::string own_policy = policy(files);
  const std::pair<std::string_view, std::string_view> parts[] = {
      {"@POLICY@", own_policy}, {"@STYLE@", files.css}, {"@DATA@", data}, {"@SCRIPT@", files.js}};
  std::string page;
  std::string_view rest = files.html;
  for (const auto& [mark, text] : parts) {  // in the order in which the page has them
    const std::size_t at = rest.find(mark);
    page.append(rest.substr(0, at)).append(text);
    rest.remove_prefix(at + mark.size());
  }
  return page.append(rest);
}

}  // namespace bubblescope

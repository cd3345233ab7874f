#include "analysis/pictures/svg_view.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "analysis/figures/format.h"
#include "analysis/pictures/picture.h"
#include "analysis/pictures/svg_layout.h"

namespace bubblescope {
namespace {

constexpr double kMargin = SvgLayout::kMargin;
constexpr double kTitleSize = 19;
constexpr double kTextSize = 12;
constexpr double kLegendLine = 22;
constexpr double kSwatch = 18;

class SvgView {
 public:
  explicit SvgView(const Analysis& run)
      : picture_(run),
        schedule_(run.graph.schedule()),
        report_(run.report),
        layout_(picture_),
        box_side_(fmt::format("v{}h", px(layout_.box))) {
    for (Rank rank = 0; rank < report_.ranks; ++rank)
      for (const LiveChange& change : live_.emplace_back(live_changes(picture_, rank)))
        most_live_ = std::max(most_live_, change.live);
  }

  std::string write() {
    std::string body = head() + axis();
    for (Rank rank = 0; rank < report_.ranks; ++rank)
      body += row(rank);
    double height = layout_.bottom + 34;
    body += legend(height);
    height += kMargin;
    const std::string frame =
        svg_begin({layout_.width, height, title(), description()}, style()) + hatches();
    return frame + body + std::string(kSvgEnd);
  }

 private:
  using Paths = std::array<fmt::memory_buffer, kOpKinds * kShades>;

  double x(Time time) const { return layout_.x(time); }
  static std::size_t look(const Op& op, const Picture& picture) {
    return static_cast<std::size_t>(op.kind()) * kShades +
           picture.shades[static_cast<std::size_t>(op.stage())];
  }

  std::string title() const { return schedule_.name.empty() ? "schedule" : schedule_.name; }

  std::string key_figures() const {
    return fmt::format("step time {} · bubble {} · at most {} live activation{} on a rank",
                       TimeUnit::fit(report_.step_time).format(report_.step_time),
                       format_percent(report_.bubble_fraction), report_.peak_live_activations,
                       report_.peak_live_activations == 1 ? "" : "s");
  }

  std::string description() const {
    return fmt::format(
        "{}; {}. One row a rank, time from left to right; the numbers are those of micro-batches.",
        setting(report_), key_figures());
  }

  std::string head() const {
    const double room = layout_.width - 2 * kMargin;
    const double right = layout_.width - kMargin;
    const double y = SvgLayout::kTop - 10;
    return svg_text(kMargin, 34,
                    fmt::format(R"( class="i" font-size="{}" font-weight="600")", kTitleSize),
                    fitted(title(), kTitleSize * 1.08, room)) +
           svg_text(kMargin, 56, R"( class="s" font-size="12")",
                    fitted(setting(report_), kTextSize, room)) +
           svg_text(kMargin, 76, R"( class="i" font-size="12")",
                    fitted(key_figures(), kTextSize, room)) +
           svg_text(right - SvgLayout::kLiveWidth, y,
                    R"( class="s" font-size="11" text-anchor="end")", "idle") +
           svg_text(right, y, R"( class="s" font-size="11" text-anchor="end")", "peak live");
  }

  /// Guides behind the rows, with their times below.
  std::string axis() const {
    const Time length = picture_.step.length();
    const int most = std::max(2, static_cast<int>(layout_.plot_width / 90));
    const double y = layout_.bottom + 14;
    std::string guides;
    std::string labels;
    for (const Time tick : time_ticks(length, most)) {
      const double at = layout_.left + x(tick + picture_.step.start);
      guides += fmt::format("M{} {}V{}", px(at), px(SvgLayout::kTop - 4), px(layout_.bottom + 2));
      labels += svg_text(at, y, "", tick_label(tick, length));
    }
    return fmt::format(
        "<path class=\"g\" d=\"{}\"/>\n<g class=\"s\" font-size=\"11\" text-anchor=\"middle\">\n"
        "{}</g>\n",
        guides, labels);
  }

  std::string row(Rank rank) {
    const double top = SvgLayout::kTop + layout_.row * rank;
    const double baseline = layout_.box / 2 + layout_.label * 0.36;
    const RankReport& figures = report_.per_rank[static_cast<std::size_t>(rank)];
    const double share = report_.step_time > Time::zero()
                             ? static_cast<double>(figures.idle.count()) /
                                   static_cast<double>(report_.step_time.count())
                             : 0;
    const double right = layout_.width - kMargin - layout_.left;
    const auto beside = [&](double at, std::string_view look, const std::string& text) {
      return svg_text(
          at, baseline,
          fmt::format(R"( class="{}" font-size="{}" text-anchor="end")", look, px(layout_.label)),
          text);
    };
    return fmt::format("<g id=\"rank-{}\" transform=\"translate({} {})\">\n", rank,
                       px(layout_.left), px(top)) +
           beside(-8, "i", fmt::format("rank {}", rank)) +
           beside(right - SvgLayout::kLiveWidth, "i", fmt::format("{:.1f} %", share * 100)) +
           beside(right, "i", std::to_string(figures.peak_live_activations)) + bubbles(rank) +
           boxes(rank) + memory(rank) + "</g>\n";
  }

  void append_box(fmt::memory_buffer& path, double at, double width) const {
    path.push_back('M');
    append_px(path, at);
    path.append(std::string_view(" 0h"));
    append_px(path, width);
    path.append(box_side_);
    append_px(path, -width);
    path.push_back('z');
  }

  static std::string path_of(std::string_view look, const fmt::memory_buffer& path) {
    return path.size() == 0 ? ""
                            : fmt::format("<path class=\"{}\" d=\"{}\"/>\n", look,
                                          std::string_view(path.data(), path.size()));
  }

  std::string bubbles(Rank rank) {
    std::array<fmt::memory_buffer, kBubbleCauses> paths;
    for (; next_bubble_ < picture_.bubbles.size() && picture_.bubbles[next_bubble_].rank == rank;
         ++next_bubble_) {
      const Bubble& bubble = picture_.bubbles[next_bubble_];
      const double start = x(bubble.span.start);
      causes_[static_cast<std::size_t>(bubble.cause)] = true;
      append_box(paths[static_cast<std::size_t>(bubble.cause)], start, x(bubble.span.end) - start);
    }
    std::string text;
    for (std::size_t cause = 0; cause < paths.size(); ++cause)
      text += path_of(idle_class(cause), paths[cause]);
    return text;
  }

  std::string boxes(Rank rank) {
    Paths paths;
    fmt::memory_buffer pairs;
    std::array<std::string, kShades> numbers;
    const auto r = static_cast<std::size_t>(rank);
    for (std::size_t i = schedule_.first_action[r]; i < schedule_.first_action[r + 1]; ++i) {
      layout_.for_each_box(i, [&](const Op& op, double at, double width) {
        const std::size_t style = look(op, picture_);
        looks_[style] = true;
        append_box(paths[style], at, width);
        append_number(numbers[style % kShades], op.microbatch(), at, width);
      });
      if (schedule_.actions[i].is_pair()) {
        has_pairs_ = true;
        const double start = x(picture_.span_of_action(i).start);
        append_box(pairs, start, x(picture_.span_of_action(i).end) - start);
      }
    }
    std::string text;
    for (std::size_t style = 0; style < paths.size(); ++style)
      text += path_of(class_of(style), paths[style]);
    text += path_of("pair", pairs);
    for (std::size_t shade = 0; shade < kShades; ++shade)
      if (!numbers[shade].empty())
        text += fmt::format("<g class=\"n n{}\" transform=\"translate(0 {})\">{}</g>\n", shade,
                            px(layout_.box / 2 + layout_.number * 0.36), numbers[shade]);
    return text;
  }

  void append_number(std::string& numbers, MicroBatch microbatch, double at, double width) const {
    if (layout_.has_number(width))
      numbers += fmt::format("<text x=\"{}\">{}</text>", px(at + width / 2), microbatch);
  }

  /// Steps from change to change, to the height of the most that any rank has.
  std::string memory(Rank rank) const {
    const auto& changes = live_[static_cast<std::size_t>(rank)];
    if (most_live_ == 0 || changes.empty())
      return "";
    const double floor = layout_.box + 2 + layout_.memory;
    std::string line;
    for (const LiveChange& change : changes) {
      const double y = floor - layout_.memory * change.live / most_live_;
      line += line.empty() ? fmt::format("M{} {}V{}", px(x(change.at)), px(floor), px(y))
                           : fmt::format("H{}V{}", px(x(change.at)), px(y));
    }
    line += fmt::format("H{}", px(layout_.plot_width));
    return fmt::format("<path class=\"m\" d=\"{}V{}\"/>\n", line, px(floor));
  }

  static std::string idle_class(std::size_t cause) {
    return fmt::format("idle-{}", cause_key(static_cast<BubbleCause>(cause)));
  }
  static std::string class_of(std::size_t style) {
    return fmt::format("{}{}", letter(static_cast<OpKind>(style / kShades)), style % kShades);
  }

  /// A swatch with its words. It may have a part of another look, and a border around both.
  struct Entry {
    std::string look;
    std::string words;
    std::string second_look = {};
    double first_share = 1;
    std::string border = {};
  };

  std::vector<Entry> entries() const {
    std::vector<Entry> entries;
    std::array<bool, kShades> shades{};
    for (std::size_t kind = 0; kind < kOpKinds; ++kind) {
      const std::size_t first = kind * kShades;
      const std::string words(kind_words(static_cast<OpKind>(kind)));
      for (std::size_t shade = 0; shade < kShades; ++shade)
        shades[shade] = shades[shade] || looks_[first + shade];
      if (looks_[first] && looks_[first + 1])
        entries.push_back({class_of(first), words, class_of(first + 1), 0.5});
      else if (looks_[first] || looks_[first + 1])
        entries.push_back({class_of(first + (looks_[first] ? 0 : 1)), words});
    }
    if (shades[0] && shades[1])
      entries.push_back(
          {"", fmt::format("light: {}, dark: {}", shade_words(picture_.placement(), 0),
                           shade_words(picture_.placement(), 1))});
    if (has_pairs_)
      entries.push_back({"F0", "overlapped forward and backward", "B0", 1.0 / 3, "pair"});
    for (std::size_t cause = 0; cause < kBubbleCauses; ++cause)
      if (causes_[cause])
        entries.push_back({idle_class(cause),
                           fmt::format("idle: {}", cause_name(static_cast<BubbleCause>(cause)))});
    if (most_live_ > 0)
      entries.push_back({"m", "live activations"});
    return entries;
  }

  /// Line by line from `y` on, which becomes the end of its last.
  std::string legend(double& y) const {
    constexpr double kRoom = 22;  // after an entry
    std::string text = fmt::format("<g class=\"i\" font-size=\"{}\">\n", kTextSize);
    double at = kMargin;
    for (const Entry& entry : entries()) {
      const double words = entry.look.empty() ? 0 : kSwatch + 6;
      const double width = words + text_width(entry.words, kTextSize);
      if (at > kMargin && at + width > layout_.width - kMargin) {
        at = kMargin;
        y += kLegendLine;
      }
      text += swatch(entry, at, y) + svg_text(at + words, y + 10, "", entry.words);
      at += width + kRoom;
    }
    y += kLegendLine;
    return text + "</g>\n";
  }

  static std::string swatch(const Entry& entry, double at, double y) {
    const auto box = [&](const std::string& look, double from, double to) {
      return look.empty() || from == to
                 ? ""
                 : fmt::format("<path class=\"{}\" d=\"M{} {}h{}v13h{}z\"/>", look,
                               px(at + from * kSwatch), px(y), px((to - from) * kSwatch),
                               px((from - to) * kSwatch));
    };
    return box(entry.look, 0, entry.first_share) + box(entry.second_look, entry.first_share, 1) +
           box(entry.border, 0, 1);
  }

  std::string hatches() const {
    std::string text = "<defs>\n";
    for (std::size_t cause = 0; cause < kBubbleCauses; ++cause)
      if (causes_[cause]) {
        const Hatch lines = hatch(static_cast<BubbleCause>(cause));
        text += fmt::format(
            "<pattern id=\"{0}\" width=\"{1}\" height=\"{1}\" patternUnits=\"userSpaceOnUse\">"
            "<path class=\"hp\" d=\"M0 0h{1}v{1}h-{1}z\"/><path class=\"{2}\" d=\"{3}\"/>"
            "</pattern>\n",
            idle_class(cause), kHatchTile, lines.is_dotted ? "hl dot" : "hl", lines.lines);
      }
    return text + "</defs>\n";
  }

  StyleSheet style() const {
    StyleSheet style;
    for (std::size_t look = 0; look < looks_.size(); ++look) {
      const auto kind = static_cast<OpKind>(look / kShades);
      if (looks_[look] || (has_pairs_ && look % kShades == 0))
        style.rule(fmt::format(".{}{{fill:{};stroke:{};stroke-width:{}}}", class_of(look),
                               box_paint(kind, look % kShades).fill,
                               box_paint(kind, 1 - look % kShades).fill, px(layout_.border)));
    }
    style.rule(fmt::format(".pair{{fill:none;stroke-width:{}}}", px(2.4 * layout_.border)));
    style.paint(".pair", "stroke", kInk);
    style.rule(fmt::format(".n{{font-size:{}px;text-anchor:middle}}", px(layout_.number)));
    for (std::size_t shade = 0; shade < kShades; ++shade)
      style.rule(fmt::format(".n{} text{{fill:{}}}", shade, box_paint(OpKind::Forward, shade).ink));
    style.paint(".hp", "fill", kHatchPaper);
    style.paint(".hl", "stroke", kHatchInk);
    style.rule(".hl{fill:none}.dot{stroke-width:1.8;stroke-linecap:round}");
    for (std::size_t cause = 0; cause < kBubbleCauses; ++cause)
      if (causes_[cause])
        style.rule(fmt::format(".{0}{{fill:url(#{0})}}", idle_class(cause)));
    style.paint(".m", "fill", kMemoryArea);
    style.paint(".m", "stroke", kMemoryLine);
    style.rule(".m{stroke-width:.6}");
    return style;
  }

  const Picture picture_;
  const Schedule& schedule_;
  const Report& report_;
  SvgLayout layout_;
  std::string box_side_;                       // what a box's subpath has between its widths
  std::vector<std::vector<LiveChange>> live_;  // [rank]
  int most_live_ = 0;
  std::size_t next_bubble_ = 0;
  // What occurs, found while it is drawn.
  std::array<bool, kOpKinds * kShades> looks_{};
  std::array<bool, kBubbleCauses> causes_{};
  bool has_pairs_ = false;
};

}  // namespace

std::string svg_view(const Analysis& run) {
  return SvgView(run).write();
}

}  // namespace bubblescope

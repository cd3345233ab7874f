#include "analysis/svg_view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "analysis/format.h"

namespace bubblescope {
namespace {

constexpr double kMargin = 20;
constexpr double kTitleSize = 19;
constexpr double kTextSize = 12;
constexpr double kDigitWidth = 0.64;  // of the font's size
constexpr double kLeastNumber = 5.5;  // pixels: smaller ones nobody reads
constexpr double kLegendLine = 22;
constexpr double kSwatch = 18;

/// Where things lie, in pixels.
struct Layout {
  double box;     ///< Height of a row's boxes.
  double memory;  ///< Height of the strip below them.
  double row;     ///< From one row to the next.
  double label;   ///< Font size of what stands beside the rows.
  double left;    ///< Where the step starts.
  double plot_width;
  double top;     ///< Of the first row.
  double bottom;  ///< Below the last row.
  double width;
  double number;  ///< Font size of the micro-batches' numbers.
  double border;  ///< Width of the boxes' borders.
};

constexpr double kLiveWidth = 58;
constexpr double kFiguresWidth = 62 + kLiveWidth;  // of the columns right of the plot

/// Heights by the number of rows: few are tall, many still have numbers.
Layout row_layout(int ranks) {
  struct Rows {
    int most;
    double box, memory, gap, label;
  };
  static constexpr Rows kRows[] = {
      {4, 32, 13, 12, 13}, {8, 26, 11, 10, 12}, {16, 20, 9, 7, 12}, {32, 15, 6, 5, 11}};
  Rows rows = {0, 11, 4, 3, 10};
  for (const Rows& each : kRows)
    if (ranks <= each.most) {
      rows = each;
      break;
    }
  Layout layout{};
  layout.box = rows.box;
  layout.memory = rows.memory;
  layout.row = rows.box + rows.memory + rows.gap;
  layout.label = rows.label;
  return layout;
}

int digits(int number) {
  return number < 10 ? 1 : 1 + digits(number / 10);
}

class SvgView {
 public:
  SvgView(const Picture& picture, const Report& report)
      : picture_(picture), schedule_(picture.graph.schedule()), report_(report) {
    layout_ = row_layout(picture.placement().ranks);
    box_side_ = fmt::format("v{}h", px(layout_.box));
    layout_.left = kMargin + text_width(rank_label(report.ranks - 1), layout_.label) + 8;
    digits_ = digits(schedule_.microbatches - 1);
    set_scale();
    set_numbers();
    layout_.width = layout_.left + layout_.plot_width + kFiguresWidth + kMargin;
    layout_.top = 118;
    layout_.bottom = layout_.top + layout_.row * report.ranks;
    for (Rank rank = 0; rank < report.ranks; ++rank)
      for (const LiveChange& change : live_.emplace_back(live_changes(picture, rank)))
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

  static std::string rank_label(Rank rank) { return fmt::format("rank {}", rank); }

  double x(Time time) const {
    return static_cast<double>((time - picture_.step.start).count()) * scale_;
  }
  static std::size_t look(const Op& op, const Picture& picture) {
    return static_cast<std::size_t>(op.kind()) * kShades +
           picture.shades[static_cast<std::size_t>(op.stage())];
  }

  /// So wide that short actions have room for their numbers, but not wider than a wall.
  void set_scale() {
    constexpr double kLeast = 760;
    constexpr double kMost = 2800;
    constexpr double kNumberRoom = 15;
    std::vector<Time> lengths;
    for (std::size_t i = 0; i < schedule_.actions.size(); ++i)
      if (const Time length = picture_.span_of_action(i).length(); length > Time::zero())
        lengths.push_back(length);
    double width = kLeast;
    const auto step = static_cast<double>(picture_.step.length().count());
    if (!lengths.empty()) {
      const auto tenth = lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 10);
      std::nth_element(lengths.begin(), tenth, lengths.end());
      const auto shorter = static_cast<double>(tenth->count());
      width = std::clamp(kNumberRoom * step / shorter, kLeast, kMost);
      layout_.border = std::clamp(0.12 * width * shorter / step, 0.1, 0.8);
    }
    layout_.plot_width = width;
    scale_ = step > 0 ? width / step : 0;
  }

  /// The size at which nine of ten numbers fit, as far as it can be read.
  void set_numbers() {
    std::vector<double> sizes;
    for (std::size_t i = 0; i < schedule_.actions.size(); ++i)
      for_each_box(i, [&](const Op&, double, double width) {
        sizes.push_back((width - 2) / (kDigitWidth * digits_));
      });
    layout_.number = kLeastNumber;
    if (sizes.empty())
      return;
    const auto tenth = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 10);
    std::nth_element(sizes.begin(), tenth, sizes.end());
    layout_.number = std::clamp(*tenth, kLeastNumber, std::min(12.0, 0.72 * layout_.box));
  }

  /// Calls `visit(op, x, width)` for the box of an action, or the two of a pair.
  template <typename Visitor>
  void for_each_box(std::size_t action, Visitor&& visit) const {
    const Action& each = schedule_.actions[action];
    const Span& span = picture_.span_of_action(action);
    const double start = x(span.start);
    const double width = x(span.end) - start;
    const double first = each.is_pair() ? width * picture_.forward_share(each) : width;
    visit(each.op(), start, first);
    if (each.is_pair())
      visit(each.overlapped(), start + first, width - first);
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
    const double y = layout_.top - 10;
    return svg_text(kMargin, 34,
                    fmt::format(R"( class="i" font-size="{}" font-weight="600")", kTitleSize),
                    fitted(title(), kTitleSize * 1.08, room)) +
           svg_text(kMargin, 56, R"( class="s" font-size="12")",
                    fitted(setting(report_), kTextSize, room)) +
           svg_text(kMargin, 76, R"( class="i" font-size="12")",
                    fitted(key_figures(), kTextSize, room)) +
           svg_text(right - kLiveWidth, y, R"( class="s" font-size="11" text-anchor="end")",
                    "idle") +
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
      guides += fmt::format("M{} {}V{}", px(at), px(layout_.top - 4), px(layout_.bottom + 2));
      labels += svg_text(at, y, "", tick_label(tick, length));
    }
    return fmt::format(
        "<path class=\"g\" d=\"{}\"/>\n<g class=\"s\" font-size=\"11\" text-anchor=\"middle\">\n"
        "{}</g>\n",
        guides, labels);
  }

  std::string row(Rank rank) {
    const double top = layout_.top + layout_.row * rank;
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
           beside(-8, "i", rank_label(rank)) +
           beside(right - kLiveWidth, "i", fmt::format("{:.1f} %", share * 100)) +
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
      text += path_of(fmt::format("u{}", cause), paths[cause]);
    return text;
  }

  std::string boxes(Rank rank) {
    Paths paths;
    fmt::memory_buffer pairs;
    std::array<std::string, kShades> numbers;
    const auto r = static_cast<std::size_t>(rank);
    for (std::size_t i = schedule_.first_action[r]; i < schedule_.first_action[r + 1]; ++i) {
      for_each_box(i, [&](const Op& op, double at, double width) {
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
    if (digits_ * kDigitWidth * layout_.number + 1.5 <= width)
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
        entries.push_back({fmt::format("u{}", cause),
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
            "<pattern id=\"h{0}\" width=\"{1}\" height=\"{1}\" patternUnits=\"userSpaceOnUse\">"
            "<path class=\"hp\" d=\"M0 0h{1}v{1}h-{1}z\"/><path class=\"{2}\" d=\"{3}\"/>"
            "</pattern>\n",
            cause, kHatchTile, lines.is_dotted ? "hl dot" : "hl", lines.lines);
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
        style.rule(fmt::format(".u{0}{{fill:url(#h{0})}}", cause));
    style.paint(".m", "fill", kMemoryArea);
    style.paint(".m", "stroke", kMemoryLine);
    style.rule(".m{stroke-width:.6}");
    return style;
  }

  const Picture& picture_;
  const Schedule& schedule_;
  const Report& report_;
  Layout layout_{};
  double scale_ = 0;      // pixels a nanosecond
  int digits_ = 1;        // of the largest number: boxes of one width have all theirs, or none
  std::string box_side_;  // what a box's subpath has between its widths
  std::vector<std::vector<LiveChange>> live_;  // [rank]
  int most_live_ = 0;
  std::size_t next_bubble_ = 0;
  // What occurs, found while it is drawn.
  std::array<bool, kOpKinds * kShades> looks_{};
  std::array<bool, kBubbleCauses> causes_{};
  bool has_pairs_ = false;
};

}  // namespace

std::string svg_view(const Picture& picture, const Report& report) {
  return SvgView(picture, report).write();
}

}  // namespace bubblescope

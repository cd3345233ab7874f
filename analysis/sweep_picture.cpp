#include "analysis/sweep_picture.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "analysis/svg.h"
#include "analysis/sweep_axis.h"
#include "analysis/sweep_view.h"

namespace bubblescope {
namespace {

constexpr double kWidth = 960;
constexpr double kHeight = 560;
constexpr double kLeft = 92;
constexpr double kRight = 206;  // of the plot: names stand there
constexpr double kTop = 86;
constexpr double kBottom = 70;
constexpr double kFont = 13;
constexpr double kStrip = 22;  // tells who wins along one axis
constexpr double kTickLength = 5;

constexpr double kPlotRight = kWidth - kRight;
constexpr double kPlotBottom = kHeight - kBottom;

double real(Time time) {
  return static_cast<double>(time.count());
}

std::string rectangle(double x0, double y0, double x1, double y1, std::string_view attributes) {
  return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}/>\n", px(x0), px(y0),
                     px(x1 - x0), px(y1 - y0), attributes);
}

std::string line(double x0, double y0, double x1, double y1, std::string_view attributes) {
  return fmt::format("<path d=\"M{} {}L{} {}\"{}/>\n", px(x0), px(y0), px(x1), px(y1), attributes);
}

/// How much longer the next best takes, as a part; 0 where there is none.
double margin(const SweepRuns& runs, std::size_t best) {
  const auto next = runner_up(runs, best);
  return next && runs[best].time->count() > 0
             ? std::max(0.0, real(*runs[*next].time) / real(*runs[best].time) - 1)
             : 0;
}

/// Schedules in the order of their colours: those that win by how many points, then those that come
/// closest, as many as there are colours at most, but all that win.
std::vector<std::size_t> drawn_schedules(const Sweep& sweep) {
  struct Rank {
    std::size_t schedule;
    std::size_t wins = 0;
    double closest = 1e300;
  };
  std::vector<Rank> ranks;
  for (std::size_t i = 0; i < sweep.schedules.size(); ++i)
    ranks.push_back({i});
  for (const SweepRuns& runs : sweep.points) {
    const auto best = winner(runs);
    for (Rank& rank : ranks) {
      rank.wins += best == rank.schedule ? 1U : 0U;
      if (const auto& time = runs[rank.schedule].time; time && best)
        rank.closest = std::min(rank.closest, real(*time) / std::max(1.0, real(*runs[*best].time)));
    }
  }
  for (const auto& regions : sweep.regions)  // some win between two points alone
    for (const SweepRegion& region : regions)
      if (region.best)
        ranks[*region.best].wins += 1;
  std::stable_sort(ranks.begin(), ranks.end(), [](const Rank& a, const Rank& b) {
    return a.wins != b.wins ? a.wins > b.wins : a.closest < b.closest;
  });
  std::vector<std::size_t> drawn;
  for (const Rank& rank : ranks)
    if (rank.wins > 0 || (sweep.axes.size() == 1 && drawn.size() < kSeries.size()))
      drawn.push_back(rank.schedule);
  return drawn;
}

/// "c0", "c1", … for the series' fill; with "l" for its line.
StyleSheet style_of(std::size_t series) {
  StyleSheet style;
  for (std::size_t i = 0; i < std::min(series, kSeries.size()); ++i) {
    style.paint(fmt::format(".c{}", i), "fill", kSeries[i]);
    style.paint(fmt::format(".l{}", i), "stroke", kSeries[i]);
  }
  style.rule(".l{fill:none;stroke-width:2.2;stroke-linejoin:round}.d{stroke-dasharray:5 4}");
  style.rule(".t{font-size:17px;font-weight:600}text{font-size:13px}.b{font-weight:600}");
  style.rule(".x{fill:none;stroke-width:1}.e{text-anchor:end}.m{text-anchor:middle}");
  style.rule(".h{stroke-width:4;stroke-linejoin:round;paint-order:stroke}");
  style.paint(".h", "stroke", kPaper);
  style.paint(".k", "stroke", kInk);
  style.paint(".q", "stroke", kSoftInk);
  return style;
}

class Picture {
 public:
  explicit Picture(const Sweep& sweep)
      : sweep_(sweep), drawn_(drawn_schedules(sweep)), x_(sweep.axes[0], {kLeft, kPlotRight}) {}

  std::string lines() {
    is_relative_ = differs_much();
    begin(fmt::format("{}{} over {}", time_words(), is_relative_ ? ", times the best's," : "",
                      sweep_.axes[0].name));
    fit_heights();
    height_axis();
    bottom_axis();
    curves();
    strip();
    return out_ + std::string(kSvgEnd);
  }

  std::string map() {
    begin(fmt::format("The fastest schedule over {} and {}", sweep_.axes[0].name,
                      sweep_.axes[1].name));
    cells();
    side_axis();
    bottom_axis();
    legend();
    return out_ + std::string(kSvgEnd);
  }

 private:
  std::string_view time_words() const {
    return sweep_.is_iteration ? "Time of an iteration" : "Step time";
  }

  std::size_t series(std::size_t schedule) const {
    const auto found = std::find(drawn_.begin(), drawn_.end(), schedule);
    return static_cast<std::size_t>(found - drawn_.begin()) % kSeries.size();
  }

  void begin(const std::string& title) {
    const std::string words = verdict(sweep_);
    out_ =
        svg_begin({kWidth, kHeight, title, sweep_.setting + "; " + words}, style_of(drawn_.size()));
    out_ += svg_text(24, 30, " class=\"i t\"", title);
    out_ += svg_text(24, 51, " class=\"s\"", fitted(sweep_.setting, kFont, kWidth - 48));
    out_ += svg_text(24, 70, " class=\"s\"", fitted(words, kFont, kWidth - 48));
  }

  void bottom_axis() {
    const double top = kPlotBottom;
    out_ += line(kLeft, top, kPlotRight, top, " class=\"x q\"");
    for (const std::int64_t tick : x_.ticks(8)) {
      out_ += line(x_.at(tick), top, x_.at(tick), top + kTickLength, " class=\"x q\"");
      out_ += svg_text(x_.at(tick), top + 20, " class=\"s m\"",
                       format_value(tick, sweep_.axes[0].kind));
    }
    out_ += svg_text((kLeft + kPlotRight) / 2, top + 44, " class=\"i m\"", sweep_.axes[0].name);
  }

  // Lines.

  double strip_top() const { return kPlotBottom - kStrip; }
  double y_of(double height) const {
    return strip_top() - (height - low_) / (high_ - low_) * (strip_top() - kTop);
  }

  /// What is drawn of a schedule at a point: its time, or over the best's; none where it has none.
  std::optional<double> height(std::size_t x, std::size_t schedule) const {
    const SweepRuns& runs = sweep_.point(x, 0);
    if (!runs[schedule].time)
      return std::nullopt;
    const double time = real(*runs[schedule].time);
    if (!is_relative_)
      return time;
    const auto best = winner(runs);
    return best ? std::optional(time / real(*runs[*best].time)) : std::nullopt;
  }

  /// Whether the best's times differ so much that lines would lie upon one another.
  bool differs_much() const {
    constexpr double kMuch = 1.6;
    double least = 1e300;
    double most = 0;
    for (const SweepRuns& runs : sweep_.points)
      if (const auto best = winner(runs)) {
        least = std::min(least, real(*runs[*best].time));
        most = std::max(most, real(*runs[*best].time));
      }
    return least > 0 && most > kMuch * least;
  }

  /// All that wins is seen whole, and of others what is not far from it.
  void fit_heights() {
    constexpr double kBeyond = 1.35;
    double most_best = 0;
    double most = 0;
    low_ = 1e300;
    for (std::size_t x = 0; x < sweep_.columns(); ++x)
      for (const std::size_t schedule : drawn_)
        if (const auto here = height(x, schedule)) {
          low_ = std::min(low_, *here);
          most = std::max(most, *here);
          if (winner(sweep_.point(x, 0)) == schedule)
            most_best = std::max(most_best, *here);
        }
    if (low_ > most)
      low_ = 0;
    high_ = most_best > 0 ? std::min(most, kBeyond * most_best) : most;
    const double room = std::max((high_ - low_) * 0.06, is_relative_ ? 0.002 : 1 + high_ * 0.002);
    high_ += room;
    low_ = std::max(0.0, low_ - room);
  }

  void height_axis() {
    const double step = tick_step(high_ - low_, 7);
    for (double tick = std::ceil(low_ / step) * step; tick <= high_; tick += step) {
      out_ += line(kLeft, y_of(tick), kPlotRight, y_of(tick), " class=\"x g\"");
      out_ += svg_text(kLeft - 8, y_of(tick) + 4, " class=\"s e\"",
                       is_relative_ ? fmt::format("{:.4g} ×", tick)
                                    : format_value(std::llround(tick), AxisKind::Duration));
    }
  }

  /// One line a schedule, broken where it cannot run, dashed where it does not fit into memory.
  void curves() {
    out_ += fmt::format(
        "<clipPath id=\"plot\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>"
        "</clipPath>\n<g clip-path=\"url(#plot)\">\n",
        px(kLeft), px(kTop), px(kPlotRight - kLeft), px(strip_top() - kTop));
    for (auto at = drawn_.rbegin(); at != drawn_.rend(); ++at)
      curve(*at);
    out_ += "</g>\n";
    names();
  }

  void curve(std::size_t schedule) {
    const auto& values = sweep_.axes[0].values;
    std::string path;
    std::string dashed;
    std::string before;  // the point to go on from
    bool fitted_before = true;
    for (std::size_t x = 0; x < values.size(); ++x) {
      const auto here = height(x, schedule);
      const bool fits = sweep_.point(x, 0)[schedule].fits;
      const std::string point =
          here ? fmt::format("{} {}", px(x_.at(values[x])), px(y_of(*here))) : "";
      std::string& to = fits && (before.empty() || fitted_before) ? path : dashed;
      if (here)
        to += before.empty() ? "M" + point + "h2" : "M" + before + "L" + point;
      before = point;
      fitted_before = fits;
    }
    const std::string name = xml_escaped(sweep_.schedules[schedule]);
    for (const auto& [d, more] : {std::pair(&path, ""), {&dashed, " d"}})
      if (!d->empty())
        out_ += fmt::format("<path class=\"l l{}{}\" d=\"{}\"><title>{}</title></path>\n",
                            series(schedule), more, *d, name);
  }

  /// At the lines' ends, pushed apart.
  void names() {
    struct Name {
      std::size_t schedule;
      double from;  // where the line ends
      double at;
    };
    constexpr double kGap = 17;
    std::vector<Name> names;
    for (const std::size_t schedule : drawn_)
      for (std::size_t x = sweep_.columns(); x-- > 0;)
        if (const auto here = height(x, schedule)) {
          const double y = std::clamp(y_of(*here), kTop, strip_top());
          names.push_back({schedule, y, y});
          break;
        }
    std::stable_sort(names.begin(), names.end(),
                     [](const Name& a, const Name& b) { return a.from < b.from; });
    for (std::size_t i = 1; i < names.size(); ++i)
      names[i].at = std::max(names[i].at, names[i - 1].at + kGap);
    double lowest = kPlotBottom;
    for (std::size_t i = names.size(); i-- > 0; lowest = names[i].at - kGap)
      names[i].at = std::min(names[i].at, lowest);
    for (const Name& name : names) {
      const std::size_t color = series(name.schedule);
      const bool fits = sweep_.points.back()[name.schedule].fits;
      out_ += line(kPlotRight + 2, name.from, kPlotRight + 16, name.at,
                   fmt::format(" class=\"x l{}\"", color));
      out_ += svg_text(kPlotRight + 20, name.at + 4, fmt::format(" class=\"c{} b\"", color),
                       fitted(sweep_.schedules[name.schedule] + (fits ? "" : " (too large)"), kFont,
                              kRight - 30));
    }
  }

  /// Who wins, with the values at which another one takes over.
  void strip() {
    const auto& regions = sweep_.regions[0];
    for (std::size_t i = 0; i < regions.size(); ++i) {
      const double from = i == 0 ? kLeft : start(regions, i);
      const double to = i + 1 == regions.size() ? kPlotRight : start(regions, i + 1);
      if (!regions[i].best)
        continue;
      const std::string& name = sweep_.schedules[*regions[i].best];
      out_ += rectangle(from, strip_top(), to, kPlotBottom,
                        fmt::format(" class=\"c{}\"", series(*regions[i].best)));
      if (text_width(name, kFont) + 8 < to - from)
        out_ += svg_text((from + to) / 2, strip_top() + 15.5, " class=\"p m b\"", name);
      if (i == 0)
        continue;
      out_ += line(from, kTop, from, kPlotBottom, " class=\"x k d\"");
      out_ += svg_text(from + 5, kTop + 12 + 16 * static_cast<double>((i - 1) % 3),
                       " class=\"i h\"", format_value(regions[i].from, sweep_.axes[0].kind));
    }
  }

  /// Where a region begins; of a count half way from the one before.
  double start(const std::vector<SweepRegion>& regions, std::size_t i) const {
    return (x_.at(regions[i - 1].to) + x_.at(regions[i].from)) / 2;
  }

  // Maps.

  double largest_margin() const {
    double most = 0;
    for (const SweepRuns& runs : sweep_.points)
      if (const auto best = winner(runs))
        most = std::max(most, margin(runs, *best));
    return most;
  }

  /// The shade of a point's margin, in steps, the faintest still seen.
  static double shade(double margin, double most) {
    constexpr int kSteps = 5;
    const int step = most > 0 ? static_cast<int>(std::ceil(kSteps * margin / most)) : kSteps;
    return 0.25 + 0.15 * std::clamp(step, 1, kSteps);
  }

  void cells() {
    const AxisScale y(sweep_.axes[1], {kPlotBottom, kTop});
    const double most = largest_margin();
    out_ += "<g shape-rendering=\"crispEdges\">\n";
    for (std::size_t row = 0; row < sweep_.rows(); ++row) {
      const double below = row == 0 ? kPlotBottom : y.between(row - 1);
      for (std::size_t i = 0; i < sweep_.regions[row].size(); ++i)
        region(row, i, {y.between(row), below}, most);
    }
    out_ += "</g>\n";
  }

  struct Band {
    double above;
    double below;
  };

  /// A region of one row, in pieces that are as strong as its points are far ahead.
  void region(std::size_t row, std::size_t i, Band band, double most) {
    const auto& regions = sweep_.regions[row];
    if (!regions[i].best)
      return;
    const std::size_t best = *regions[i].best;
    const double from = i == 0 ? kLeft : start(regions, i);
    const double to = i + 1 == regions.size() ? kPlotRight : start(regions, i + 1);
    double begin = from;
    double strength = -1;
    const auto end_piece = [&](double end) {
      if (strength >= 0 && end > begin)
        out_ += rectangle(begin, band.above, end, band.below,
                          fmt::format(" class=\"c{}\" opacity=\"{:.2f}\"", series(best), strength));
      begin = std::max(begin, end);
    };
    for (std::size_t x = 0; x < sweep_.columns(); ++x) {
      const double left = x == 0 ? kLeft : x_.between(x - 1);
      if (x_.between(x) <= from || left >= to)
        continue;
      const SweepRuns& runs = sweep_.point(x, row);
      const double here = winner(runs) == best ? shade(margin(runs, best), most) : shade(0, most);
      if (here != strength)
        end_piece(std::max(left, from));
      strength = here;
    }
    end_piece(to);
    note_widest(best, {from, to}, (band.above + band.below) / 2);
  }

  struct Widest {
    double fit = 0;
    double width = 0;
    double x = 0;
    double y = 0;
  };

  void note_widest(std::size_t best, AxisScale::Span span, double y) {
    const double width = span.to - span.from;
    const double off = std::abs(y - (kTop + kPlotBottom) / 2) / (kPlotBottom - kTop);
    const double fit = width * (1 - off);  // rather in the middle than at the edge
    Widest& widest = widest_[best];
    if (fit > widest.fit)
      widest = {fit, width, (span.from + span.to) / 2, std::clamp(y, kTop + 12, kPlotBottom - 10)};
  }

  void side_axis() {
    const SweepAxis& axis = sweep_.axes[1];
    const AxisScale y(axis, {kPlotBottom, kTop});
    out_ += line(kLeft, kTop, kLeft, kPlotBottom, " class=\"x q\"");
    for (const std::int64_t tick : y.ticks(8)) {
      out_ += line(kLeft - kTickLength, y.at(tick), kLeft, y.at(tick), " class=\"x q\"");
      out_ += svg_text(kLeft - 8, y.at(tick) + 4, " class=\"s e\"", format_value(tick, axis.kind));
    }
    const double middle = (kTop + kPlotBottom) / 2;
    out_ += svg_text(18, middle,
                     fmt::format(" class=\"i m\" transform=\"rotate(-90 18 {})\"", px(middle)),
                     axis.name);
  }

  /// Names in the regions that are wide enough, and all beside the map.
  void legend() {
    for (const auto& [schedule, widest] : widest_) {
      const std::string& name = sweep_.schedules[schedule];
      if (text_width(name, kFont) + 12 < widest.width)
        out_ += svg_text(widest.x, widest.y + 4, " class=\"i b m h\"", name);
    }
    double y = kTop + 12;
    for (const std::size_t schedule : drawn_) {
      out_ += rectangle(kPlotRight + 18, y - 11, kPlotRight + 32, y + 2,
                        fmt::format(" class=\"c{}\"", series(schedule)));
      out_ += svg_text(kPlotRight + 38, y, " class=\"i\"",
                       fitted(sweep_.schedules[schedule], kFont, kRight - 46));
      y += 20;
    }
    const double most = largest_margin();
    y = std::max(y + 16, kPlotBottom - 50);
    out_ += svg_text(kPlotRight + 18, y, " class=\"s\"", "the next best takes");
    for (int step = 1; step <= 5; ++step)
      out_ += rectangle(kPlotRight - 2 + 20 * step, y + 8, kPlotRight + 18 + 20 * step, y + 22,
                        fmt::format(" class=\"i\" opacity=\"{:.2f}\"", shade(step, 5)));
    out_ += svg_text(kPlotRight + 18, y + 38, " class=\"s\"",
                     fmt::format("0 … {:.1f} % longer", 100 * most));
  }

  const Sweep& sweep_;
  std::vector<std::size_t> drawn_;
  AxisScale x_;
  bool is_relative_ = false;
  double low_ = 0;
  double high_ = 1;
  std::map<std::size_t, Widest> widest_ = {};
  std::string out_ = {};
};

}  // namespace

std::string sweep_picture(const Sweep& sweep) {
  Picture picture(sweep);
  return sweep.axes.size() == 1 ? picture.lines() : picture.map();
}

}  // namespace bubblescope

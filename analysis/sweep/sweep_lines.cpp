#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "analysis/pictures/svg.h"
#include "analysis/sweep/sweep_canvas.h"
#include "analysis/sweep/sweep_picture.h"

namespace bubblescope {

using namespace sweep_layout;

namespace {

constexpr double kStrip = 22;  // tells who wins

class LinePicture : public SweepCanvas {
 public:
  using SweepCanvas::SweepCanvas;

  std::string draw() {
    is_relative_ = differs_much();
    begin(fmt::format("{}{} over {}", time_words(), is_relative_ ? ", times the best's," : "",
                      sweep_.axes[0].name));
    fit_heights();
    height_axis();
    bottom_axis();
    curves();
    strip();
    return end();
  }

 private:
  std::string_view time_words() const {
    return sweep_.is_iteration ? "Time of an iteration" : "Step time";
  }

  double strip_top() const { return kPlotBottom - kStrip; }
  double y_of(double height) const {
    return strip_top() - (height - low_) / (high_ - low_) * (strip_top() - kTop);
  }

  /// What is drawn of a schedule at a point: its time, or over the best's; none where it has none.
  std::optional<double> height(std::size_t x, std::size_t schedule) const {
    const SweepRuns& runs = sweep_.point(x, 0);
    if (!runs[schedule].time)
      return std::nullopt;
    const double time = as_double(*runs[schedule].time);
    if (!is_relative_)
      return time;
    const auto best = winner(runs);
    return best ? std::optional(time / as_double(*runs[*best].time)) : std::nullopt;
  }

  /// Whether the best's times differ so much that lines would lie upon one another.
  bool differs_much() const {
    constexpr double kMuch = 1.6;
    double least = 1e300;
    double most = 0;
    for (const SweepRuns& runs : sweep_.points)
      if (const auto best = winner(runs)) {
        least = std::min(least, as_double(*runs[*best].time));
        most = std::max(most, as_double(*runs[*best].time));
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
      out_ += svg_line(kLeft, y_of(tick), kPlotRight, y_of(tick), " class=\"x g\"");
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
        to += before.empty() ? fmt::format("M{}h0", point) : fmt::format("M{}L{}", before, point);
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
      out_ += svg_line(kPlotRight + 2, name.from, kPlotRight + 16, name.at,
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
      out_ += svg_rectangle(from, strip_top(), to, kPlotBottom,
                            fmt::format(" class=\"c{}\"", series(*regions[i].best)));
      if (text_width(name, kFont) + 8 < to - from)
        out_ += svg_text((from + to) / 2, strip_top() + 15.5, " class=\"p m b\"", name);
      if (i == 0)
        continue;
      out_ += svg_line(from, kTop, from, kPlotBottom, " class=\"x k d\"");
      out_ += svg_text(from + 5, kTop + 12 + 16 * static_cast<double>((i - 1) % 3),
                       " class=\"i h\"", format_value(regions[i].from, sweep_.axes[0].kind));
    }
  }

  bool is_relative_ = false;
  double low_ = 0;
  double high_ = 1;
};

}  // namespace

std::string sweep_lines(const Sweep& sweep, const std::string& verdict) {
  return LinePicture(sweep, verdict).draw();
}

}  // namespace bubblescope

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "analysis/pictures/svg.h"
#include "analysis/sweep/sweep_canvas.h"
#include "analysis/sweep/sweep_picture.h"

namespace bubblescope {

using namespace sweep_layout;

namespace {

/// How much longer the next best takes, as a part; 0 where there is none.
double margin(const SweepRuns& runs, std::size_t best) {
  const auto next = runner_up(runs, best);
  return next && runs[best].time->count() > 0
             ? std::max(0.0, as_double(*runs[*next].time) / as_double(*runs[best].time) - 1)
             : 0;
}

class MapPicture : public SweepCanvas {
 public:
  using SweepCanvas::SweepCanvas;

  std::string draw() {
    begin(fmt::format("The fastest schedule over {} and {}", sweep_.axes[0].name,
                      sweep_.axes[1].name));
    cells();
    side_axis();
    bottom_axis();
    legend();
    return end();
  }

 private:
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
        out_ +=
            svg_rectangle(begin, band.above, end, band.below,
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
    note_widest(best, row, {from, to}, (band.above + band.below) / 2);
  }

  struct Widest {
    double fit = 0;
    double width = 0;
    double x = 0;
    std::size_t row = 0;
  };

  void note_widest(std::size_t best, std::size_t row, AxisScale::Span span, double y) {
    const double width = span.to - span.from;
    const double off = std::abs(y - (kTop + kPlotBottom) / 2) / (kPlotBottom - kTop);
    const double fit = width * (1 - off);  // rather in the middle than at the edge
    Widest& widest = widest_[best];
    if (fit > widest.fit)
      widest = {fit, width, (span.from + span.to) / 2, row};
  }

  void side_axis() {
    const SweepAxis& axis = sweep_.axes[1];
    const AxisScale y(axis, {kPlotBottom, kTop});
    out_ += svg_line(kLeft, kTop, kLeft, kPlotBottom, " class=\"x q\"");
    for (const std::int64_t tick : y.ticks(8)) {
      out_ += svg_line(kLeft - kTickLength, y.at(tick), kLeft, y.at(tick), " class=\"x q\"");
      out_ += svg_text(kLeft - 8, y.at(tick) + 4, " class=\"s e\"", format_value(tick, axis.kind));
    }
    const double middle = (kTop + kPlotBottom) / 2;
    out_ += svg_text(18, middle,
                     fmt::format(" class=\"i m\" transform=\"rotate(-90 18 {})\"", px(middle)),
                     axis.name);
  }

  /// Whether a schedule wins in a row at some pixel.
  bool wins_at(std::size_t schedule, std::size_t row, double x) const {
    const auto& regions = sweep_.regions[row];
    for (std::size_t i = 0; i < regions.size(); ++i)
      if (regions[i].best == schedule && (i == 0 || start(regions, i) <= x) &&
          (i + 1 == regions.size() || x <= start(regions, i + 1)))
        return true;
    return false;
  }

  /// The rows around the one where a schedule's region is widest that are its own at the same
  /// place.
  Band rows_around(std::size_t schedule, const Widest& widest) const {
    const AxisScale y(sweep_.axes[1], {kPlotBottom, kTop});
    std::size_t first = widest.row;
    while (first > 0 && wins_at(schedule, first - 1, widest.x))
      --first;
    std::size_t last = widest.row;
    while (last + 1 < sweep_.rows() && wins_at(schedule, last + 1, widest.x))
      ++last;
    return {y.between(last), first == 0 ? kPlotBottom : y.between(first - 1)};
  }

  /// Names in the regions that are large enough, and all beside the map.
  void legend() {
    for (const auto& [schedule, widest] : widest_) {
      const std::string& name = sweep_.schedules[schedule];
      const Band band = rows_around(schedule, widest);
      constexpr double kHigh = 18;
      if (text_width(name, kFont) + 12 < widest.width && band.below - band.above >= kHigh)
        out_ += svg_text(widest.x, (band.above + band.below) / 2 + 4, " class=\"i b m h\"", name);
    }
    double y = kTop + 12;
    for (const std::size_t schedule : drawn_) {
      out_ += svg_rectangle(kPlotRight + 18, y - 11, kPlotRight + 32, y + 2,
                            fmt::format(" class=\"c{}\"", series(schedule)));
      out_ += svg_text(kPlotRight + 38, y, " class=\"i\"",
                       fitted(sweep_.schedules[schedule], kFont, kRight - 46));
      y += 20;
    }
    const double most = largest_margin();
    y = std::max(y + 16, kPlotBottom - 50);
    out_ += svg_text(kPlotRight + 18, y, " class=\"s\"", "the next best takes");
    for (int step = 1; step <= 5; ++step)
      out_ += svg_rectangle(kPlotRight - 2 + 20 * step, y + 8, kPlotRight + 18 + 20 * step, y + 22,
                            fmt::format(" class=\"i\" opacity=\"{:.2f}\"", shade(step, 5)));
    out_ += svg_text(kPlotRight + 18, y + 38, " class=\"s\"",
                     fmt::format("0 … {:.1f} % longer", 100 * most));
  }

  std::map<std::size_t, Widest> widest_ = {};
};

}  // namespace

std::string sweep_map(const Sweep& sweep, const std::string& verdict) {
  return MapPicture(sweep, verdict).draw();
}

}  // namespace bubblescope

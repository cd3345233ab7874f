#include "analysis/sweep/sweep_canvas.h"

#include <algorithm>

#include <fmt/format.h>

#include "analysis/pictures/svg.h"

namespace bubblescope {

using namespace sweep_layout;

namespace {

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
        rank.closest =
            std::min(rank.closest,
                     static_cast<double>(time->count()) /
                         static_cast<double>(std::max<std::int64_t>(1, runs[*best].time->count())));
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
  style.rule(
      ".l{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}.d{stroke-"
      "dasharray:5 4}");
  style.rule(".t{font-size:17px;font-weight:600}text{font-size:13px}.b{font-weight:600}");
  style.rule(".x{fill:none;stroke-width:1}.e{text-anchor:end}.m{text-anchor:middle}");
  style.rule(".h{stroke-width:4;stroke-linejoin:round;paint-order:stroke}");
  style.paint(".h", "stroke", kPaper);
  style.paint(".k", "stroke", kInk);
  style.paint(".q", "stroke", kSoftInk);
  return style;
}

}  // namespace

std::string svg_rectangle(double x0, double y0, double x1, double y1, std::string_view attributes) {
  return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}/>\n", px(x0), px(y0),
                     px(x1 - x0), px(y1 - y0), attributes);
}

std::string svg_line(double x0, double y0, double x1, double y1, std::string_view attributes) {
  return fmt::format("<path d=\"M{} {}L{} {}\"{}/>\n", px(x0), px(y0), px(x1), px(y1), attributes);
}

SweepCanvas::SweepCanvas(const Sweep& sweep, const std::string& verdict)
    : sweep_(sweep),
      verdict_(verdict),
      drawn_(drawn_schedules(sweep)),
      x_(sweep.axes[0], {kLeft, kPlotRight}) {}

std::size_t SweepCanvas::series(std::size_t schedule) const {
  const auto found = std::find(drawn_.begin(), drawn_.end(), schedule);
  return static_cast<std::size_t>(found - drawn_.begin()) % kSeries.size();
}

void SweepCanvas::begin(const std::string& title) {
  out_ = svg_begin({kWidth, kHeight, title, sweep_.setting + "; " + verdict_},
                   style_of(drawn_.size()));
  out_ += svg_text(24, 30, " class=\"i t\"", title);
  out_ += svg_text(24, 51, " class=\"s\"", fitted(sweep_.setting, kFont, kWidth - 48));
  out_ += svg_text(24, 70, " class=\"s\"", fitted(verdict_, kFont, kWidth - 48));
}

void SweepCanvas::bottom_axis() {
  const double top = kPlotBottom;
  out_ += svg_line(kLeft, top, kPlotRight, top, " class=\"x q\"");
  for (const std::int64_t tick : x_.ticks(8)) {
    out_ += svg_line(x_.at(tick), top, x_.at(tick), top + kTickLength, " class=\"x q\"");
    out_ +=
        svg_text(x_.at(tick), top + 20, " class=\"s m\"", format_value(tick, sweep_.axes[0].kind));
  }
  out_ += svg_text((kLeft + kPlotRight) / 2, top + 44, " class=\"i m\"", sweep_.axes[0].name);
}

std::string SweepCanvas::end() const {
  return out_ + std::string(kSvgEnd);
}

double SweepCanvas::start(const std::vector<SweepRegion>& regions, std::size_t i) const {
  return (x_.at(regions[i - 1].to) + x_.at(regions[i].from)) / 2;
}

}  // namespace bubblescope

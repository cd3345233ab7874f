// What both pictures of a sweep share: the frame with its words, the first axis, and a colour for
// each schedule.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/sweep/sweep.h"
#include "analysis/sweep/sweep_axis.h"

namespace bubblescope {

namespace sweep_layout {

constexpr double kWidth = 960;
constexpr double kHeight = 560;
constexpr double kLeft = 92;
constexpr double kRight = 230;  // of the plot: names stand there
constexpr double kTop = 86;
constexpr double kBottom = 70;
constexpr double kFont = 13;
constexpr double kTickLength = 5;

constexpr double kPlotRight = kWidth - kRight;
constexpr double kPlotBottom = kHeight - kBottom;

}  // namespace sweep_layout

/// `attributes` as they stand, with a blank before each.
std::string svg_rectangle(double x0, double y0, double x1, double y1, std::string_view attributes);
std::string svg_line(double x0, double y0, double x1, double y1, std::string_view attributes);

class SweepCanvas {
 public:
  SweepCanvas(const Sweep& sweep, const std::string& verdict);

 protected:
  void begin(const std::string& title);
  void bottom_axis();
  std::string end() const;

  /// The number of a schedule's colour: the classes "c0", "c1", … fill with it, "l0" draw a line.
  std::size_t series(std::size_t schedule) const;
  /// Where a region begins; of a count half way from the one before.
  double start(const std::vector<SweepRegion>& regions, std::size_t i) const;

  const Sweep& sweep_;
  const std::string& verdict_;
  std::vector<std::size_t> drawn_;  // schedules, in the order of their colours
  AxisScale x_;
  std::string out_ = {};
};

}  // namespace bubblescope

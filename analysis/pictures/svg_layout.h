// Where the parts of a schedule's SVG picture lie, in pixels.
#pragma once

#include <cstddef>

#include "analysis/pictures/picture.h"

namespace bubblescope {

class SvgLayout {
 public:
  static constexpr double kMargin = 20;
  static constexpr double kTop = 118;       ///< Of the first row, below the title.
  static constexpr double kLiveWidth = 58;  ///< Of the last column right of the plot.

  explicit SvgLayout(const Picture& picture);

  /// From where the step starts.
  double x(Time time) const {
    return static_cast<double>((time - picture_.step.start).count()) * scale_;
  }
  /// Whether a box has room for its number. Boxes of one width all have it, or none.
  bool has_number(double box_width) const;

  /// Calls `visit(op, x, width)` for the box of an action, or the two of a pair.
  template <typename Visitor>
  void for_each_box(std::size_t action, Visitor&& visit) const {
    const Action& each = picture_.graph.schedule().actions[action];
    const Span& span = picture_.span_of_action(action);
    const double start = x(span.start);
    const double whole = x(span.end) - start;
    const double first = each.is_pair() ? whole * picture_.forward_share(each) : whole;
    visit(each.op(), start, first);
    if (each.is_pair())
      visit(each.overlapped(), start + first, whole - first);
  }

  double box = 0;     ///< Height of a row's boxes.
  double memory = 0;  ///< Height of the strip below them.
  double row = 0;     ///< From one row to the next.
  double label = 0;   ///< Font size of what stands beside the rows.
  double left = 0;    ///< Where the step starts.
  double plot_width = 0;
  double width = 0;
  double bottom = 0;    ///< Below the last row.
  double number = 0;    ///< Font size of the micro-batches' numbers.
  double border = 0.8;  ///< Width of the boxes' borders.

 private:
  void set_rows(int ranks);
  void set_scale();
  void set_numbers();

  const Picture& picture_;
  double scale_ = 0;  // pixels a nanosecond
  int digits_ = 1;    // of the largest number
};

}  // namespace bubblescope

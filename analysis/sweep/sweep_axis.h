// Where values of a sweep's axis lie in a picture, and which of them are told.
#pragma once

#include <cstdint>
#include <vector>

#include "analysis/sweep/sweep.h"

namespace bubblescope {

/// Pixels from the value at `from` to the one at `to`, which may lie to the left or above.
class AxisScale {
 public:
  struct Span {
    double from;
    double to;
  };
  AxisScale(const SweepAxis& axis, Span pixels);

  double at(std::int64_t value) const;
  /// Half way between the values `i` and `i` + 1, as it is seen; the ends beyond them.
  double between(std::size_t i) const;
  /// Round values, `most` at most where the axis is even.
  std::vector<std::int64_t> ticks(int most) const;

 private:
  double place(std::int64_t value) const;  // 0 … 1

  const SweepAxis& axis_;
  Span pixels_;
};

}  // namespace bubblescope

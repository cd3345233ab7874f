#include "analysis/sweep/sweep_axis.h"

#include <algorithm>
#include <cmath>

#include "analysis/pictures/svg.h"

namespace bubblescope {

AxisScale::AxisScale(const SweepAxis& axis, Span pixels) : axis_(axis), pixels_(pixels) {}

double AxisScale::place(std::int64_t value) const {
  const auto from = static_cast<double>(axis_.values.front());
  const auto to = static_cast<double>(axis_.values.back());
  const auto here = static_cast<double>(value);
  return axis_.is_logarithmic ? std::log(here / from) / std::log(to / from)
                              : (here - from) / (to - from);
}

double AxisScale::at(std::int64_t value) const {
  return pixels_.from + (pixels_.to - pixels_.from) * place(value);
}

double AxisScale::between(std::size_t i) const {
  if (i + 1 >= axis_.values.size())
    return pixels_.to;
  return (at(axis_.values[i]) + at(axis_.values[i + 1])) / 2;
}

std::vector<std::int64_t> AxisScale::ticks(int most) const {
  const std::int64_t from = axis_.values.front();
  const std::int64_t to = axis_.values.back();
  std::vector<std::int64_t> ticks;
  if (!axis_.is_logarithmic) {
    const double exact = tick_step(static_cast<double>(to - from), most);
    const std::int64_t step = std::max<std::int64_t>(1, std::llround(exact));
    for (std::int64_t tick = (from + step - 1) / step * step; tick <= to; tick += step)
      ticks.push_back(tick);
    return ticks;
  }
  constexpr std::int64_t kLargest = 1'000'000'000'000'000'000;
  const bool is_wide = static_cast<double>(to) / static_cast<double>(from) > 1000;
  for (std::int64_t power = 1; power <= to; power *= 10) {
    for (const std::int64_t factor : {1, 2, 5})
      if ((factor == 1 || !is_wide) && power <= kLargest / factor && factor * power >= from &&
          factor * power <= to)
        ticks.push_back(factor * power);
    if (power == kLargest)
      break;
  }
  if (ticks.size() < 2)
    return {from, to};
  return ticks;
}

}  // namespace bubblescope

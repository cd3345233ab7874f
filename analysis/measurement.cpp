#include "analysis/measurement.h"

#include <algorithm>

namespace bubblescope {

std::string Measurement::device() const {
  return machine.empty() ? "unknown" : machine.front().second;
}

double Measurement::uncertainty() const {
  if (step_times.empty() || clock_uncertainty == Time::zero())
    return noise;
  std::vector<Time> sorted = step_times;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return noise + 2 * static_cast<double>(clock_uncertainty.count()) /
                     static_cast<double>(std::max(*middle, Time(1)).count());
}

}  // namespace bubblescope

#include "sim/engine/measured_steps.h"

#include <algorithm>

#include "sim/base/statistics.h"

namespace bubblescope {

std::string MeasuredSteps::device() const {
  return machine.empty() ? "unknown" : machine.front().second;
}

Time MeasuredSteps::step_time() const {
  return lower_median(step_times);
}

double MeasuredSteps::noise() const {
  if (step_times.empty() || step_time() <= Time::zero())
    return 0;
  const auto [shortest, longest] = std::minmax_element(step_times.begin(), step_times.end());
  return static_cast<double>((*longest - *shortest).count()) /
         (2 * static_cast<double>(step_time().count()));
}

double MeasuredSteps::uncertainty() const {
  if (step_times.empty() || clock_uncertainty == Time::zero())
    return noise();
  return noise() + 2 * static_cast<double>(clock_uncertainty.count()) /
                       static_cast<double>(std::max(step_time(), Time(1)).count());
}

}  // namespace bubblescope

#include "analysis/measurement.h"

#include <algorithm>

#include "sim/base/statistics.h"

namespace bubblescope {

std::string Measurement::device() const {
  return machine.empty() ? "unknown" : machine.front().second;
}

double Measurement::uncertainty() const {
  if (step_times.empty() || clock_uncertainty == Time::zero())
    return noise;
  const Time middle = std::max(lower_median(step_times), Time(1));
  return noise +
         2 * static_cast<double>(clock_uncertainty.count()) / static_cast<double>(middle.count());
}

}  // namespace bubblescope

#include "sim/transformer/phase_cost.h"

#include <algorithm>
#include <numeric>

namespace bubblescope {

std::string_view to_string(Bound bound) {
  constexpr std::string_view kNames[] = {"compute", "memory", "nvlink", "network", "host"};
  return kNames[static_cast<std::size_t>(bound)];
}

double PhaseCost::seconds() const {
  return std::accumulate(seconds_by_bound.begin(), seconds_by_bound.end(), gaps);
}

Bound PhaseCost::bound() const {
  return static_cast<Bound>(std::max_element(seconds_by_bound.begin(), seconds_by_bound.end()) -
                            seconds_by_bound.begin());
}

PhaseCost PhaseCost::longer_than(double seconds) const {
  const double whole = this->seconds();
  const double share = whole > 0 ? std::max(0.0, whole - seconds) / whole : 0;
  PhaseCost left = *this;
  for (double& part : left.seconds_by_bound)
    part *= share;
  left.gaps *= share;
  return left;
}

PhaseCost& PhaseCost::operator+=(const PhaseCost& other) {
  flops += other.flops;
  bytes += other.bytes;
  traffic += other.traffic;
  gaps += other.gaps;
  for (std::size_t i = 0; i < seconds_by_bound.size(); ++i)
    seconds_by_bound[i] += other.seconds_by_bound[i];
  return *this;
}

}  // namespace bubblescope

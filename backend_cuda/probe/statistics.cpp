#include "backend_cuda/probe/statistics.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "sim/base/statistics.h"

namespace bubblescope::gpu {

Spread spread_of(std::vector<double> samples) {
  if (samples.empty())
    throw std::runtime_error("no repeat of a measurement gave a result");
  std::sort(samples.begin(), samples.end());
  return {samples.size(), samples.front(), percentile(samples, 0.5), percentile(samples, 0.95),
          samples.back()};
}

Steps steps_of(std::vector<std::int64_t> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  Steps steps{.distinct = values.size()};
  for (std::size_t i = 1; i < values.size(); ++i) {
    const std::int64_t step = values[i] - values[i - 1];
    steps.smallest = i == 1 ? step : std::min(steps.smallest, step);
    steps.common_divisor = std::gcd(steps.common_divisor, step);
  }
  return steps;
}

Interval interval_of(std::span<const BlockStamp> stamps) {
  Interval interval{std::numeric_limits<std::int64_t>::max(), 0};
  for (const BlockStamp& stamp : stamps) {
    if (stamp.end == 0)
      throw std::runtime_error("a block of a kernel left no time stamp");
    interval.start = std::min(interval.start, static_cast<std::int64_t>(stamp.start));
    interval.end = std::max(interval.end, static_cast<std::int64_t>(stamp.end));
  }
  return interval;
}

}  // namespace bubblescope::gpu

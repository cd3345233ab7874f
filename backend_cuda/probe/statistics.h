// The spread of repeated measurements, and the steps in which they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend_cuda/probe/probe_kernels.h"

namespace bubblescope::gpu {

/// Of `count` samples; the percentiles are samples themselves (nearest rank).
struct Spread {
  std::size_t count = 0;
  double min = 0;
  double p50 = 0;
  double p95 = 0;
  double max = 0;
};

/// Throws std::runtime_error if there are no samples.
Spread spread_of(std::vector<double> samples);

/// The finest step in which `values` come, from their distinct ones.
struct Steps {
  std::size_t distinct = 0;
  std::int64_t smallest = 0;        ///< Smallest difference between neighbours; 0 if there is one.
  std::int64_t common_divisor = 0;  ///< Of the differences: the tick, where ticks are whole ns.
};
Steps steps_of(std::vector<std::int64_t> values);

/// From the first block's start to the last block's end, in %globaltimer ns.
struct Interval {
  std::int64_t start;
  std::int64_t end;
  std::int64_t length() const { return end - start; }
};
/// Throws std::runtime_error if a block left no stamp.
Interval interval_of(std::span<const BlockStamp> stamps);

constexpr double to_us(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e3;
}

}  // namespace bubblescope::gpu

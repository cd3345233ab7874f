// What CUPTI says of when actions ran, beside the stamps that their kernels wrote.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/engine/timeline.h"

namespace bubblescope::gpu {

/// A kernel that ran, in ns on a clock of CUPTI's own.
struct KernelTimes {
  std::string name;  ///< As the compiler mangles it.
  std::uint32_t stream = 0;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
};

/// A step's actions by start: a timed one is one kernel; one of tensors is what ran on a stream
/// between the kernels that stamp its start and its end.
std::vector<Span> actions_seen(std::vector<KernelTimes> kernels);

/// "96 actions: lengths differ by 0.352 µs (median), 0.910 µs (most), starts by 0.128 µs, 0.544 µs"
/// Starts count from the first action's.
std::string compare_actions(std::vector<Span> stamped, std::vector<Span> seen);

}  // namespace bubblescope::gpu

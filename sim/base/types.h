// The units and ids that every layer speaks in. Their words are explained in docs/metrics.md.
#pragma once

#include <chrono>
#include <cstdint>

namespace bubblescope {

/// A point or a length of time, in integer nanoseconds from the start of the step.
using Time = std::chrono::nanoseconds;
using Bytes = std::int64_t;

using Rank = std::int32_t;        ///< One pipeline-parallel device, 0 … p−1.
using Stage = std::int32_t;       ///< One slice of the model; two pipes number their stages apart.
using MicroBatch = std::int32_t;  ///< 0 … m−1 over all pipes.

}  // namespace bubblescope

// What belongs to the named ranges of a trace: a pipeline's actions, phases, an optimizer.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "analysis/gpu_trace/gpu_trace.h"

namespace bubblescope {

/// Ranges of one name. To one on the GPU belong the events that start in it on its stream, to one
/// on the host those that it launched, on any thread; ranges in it count too.
struct RangeFigures {
  std::shared_ptr<const std::string> name = {};  ///< Shared, for it may be long.
  bool is_gpu = false;
  std::size_t count = 0;                       ///< Ranges that events belong to.
  std::size_t events = 0;                      ///< Each once.
  std::array<Time, kKernelClasses> time = {};  ///< Sums of their durations.
};

/// Of the ranges of a rank, by name, the longest first.
std::vector<RangeFigures> range_figures(const RankTrace& trace, const KernelNames& names);

}  // namespace bubblescope

// What is odd in a trace and does not keep it from being read, in words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/gpu_trace/gpu_trace.h"

namespace bubblescope {

/// Slices of one stream that overlap: how many, and the first.
std::optional<std::string> overlap_note(const RankTrace& trace, const KernelNames& names);

/// The ends of a trace's flows.
struct FlowEnds {
  struct End {
    std::uint64_t key = 0;  ///< Of category and id.
    std::size_t event = 0;
  };
  std::vector<End> starts = {};
  std::vector<End> ends = {};
};

/// Flows of which one end is missing: how many, and the first.
std::optional<std::string> flow_note(const std::string& path, FlowEnds flows);

}  // namespace bubblescope

// Traces without a GPU's events: ranks are processes, and threads stand for streams.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analysis/gpu_trace/gpu_trace.h"
#include "analysis/gpu_trace/kernel_names.h"

namespace bubblescope {

struct ThreadSlices {
  struct Slice {
    Time start{}, end{};
    KernelNames::Id name = 0;
    std::uint32_t thread = 0;  ///< An index into the threads.
  };
  struct Thread {
    std::string process = {}, id = {}, name = {};
  };
  std::vector<Slice> slices = {};
  std::vector<Thread> threads = {};
};

/// Of a trace that `--trace` wrote: in each process the measured actions, or else the predicted
/// ones, compute, and messages communicate, at their senders and receivers. Bubbles are none of
/// both.
std::vector<RankTrace> ranks_of_ours(const std::string& path, const ThreadSlices& received,
                                     KernelNames& names);

/// Of any other: each slice of each thread counts, and what lies in another counts within it.
std::vector<RankTrace> ranks_of_threads(const std::string& path, const ThreadSlices& slices);

}  // namespace bubblescope

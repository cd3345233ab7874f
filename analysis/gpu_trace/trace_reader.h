// Traces of GPUs from files: PyTorch's profiler (Kineto), Chrome's format, and those that
// `bubblescope simulate --trace` writes; plain or .gz.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "analysis/gpu_trace/gpu_trace.h"

namespace bubblescope {

struct TraceSet {
  std::vector<RankTrace> ranks = {};    ///< By rank; no two are the same.
  std::vector<std::string> notes = {};  ///< What was assumed, and what is odd.
  bool has_one_clock = false;           ///< All comes from one file.
};

/// A file is read once, half a MiB at a time; what is kept of it is 32 bytes for each event of a
/// GPU, 16 for each launch and each end of a flow, and each name once. Times go from their digits
/// to nanoseconds, never through a double. Ranks are as distributedInfo says, else the lowest that
/// no file tells, as the files are given; of a file with several GPUs `gpu_ranks` makes one each,
/// which is noted. Impossible events are left out, and noted. Throws Error, with file and
/// place, for what is no trace, for two files of one rank and for one given twice. Of
/// `may_be_none`, such as are found in a folder, those that are no traces are noted and left out,
/// as long as one is.
TraceSet read_traces(const std::vector<std::string>& paths, KernelNames& names,
                     const std::set<std::string>& may_be_none = {});

}  // namespace bubblescope

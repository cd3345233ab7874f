// Steps of torch.distributed.pipelining in traces of PyTorch's profiler: its runtime puts every
// action into a range such as "PP:0F3" or "PP:(0F7;7B3)OVERLAP_F_B".
#pragma once

#include <string>
#include <vector>

#include "analysis/calibration/measured_run.h"

namespace bubblescope {

/// Reads the traces of one run, one file a rank, or several ranks in one file as processes. Ranks
/// are numbered by the lowest stage that each has; the n-th time that an action ran belongs to the
/// n-th step. Where a trace has the ranges of a GPU ("gpu_user_annotation"), these count, on the
/// stream that has most of them, else those of the host, with a note. Ranges of communication, such
/// as "PP:1RECV_F0", are no actions. Throws Error for what `read_annotations` refuses, traces
/// without such ranges, and ranks whose numbers of steps differ.
RunProfile read_annotated_traces(const std::vector<std::string>& paths);

}  // namespace bubblescope

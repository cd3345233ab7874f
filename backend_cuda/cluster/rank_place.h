// Which rank of a plan a process of a job runs.
#pragma once

#include "backend_cuda/cluster/seat.h"
#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope {

/// Throws JobError where so many processes cannot share the ranks evenly.
RankPlace place_of(int ranks, const Seat& seat);

}  // namespace bubblescope

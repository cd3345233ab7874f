// Replays one rank of a plan on a GPU, with the others in other processes.
#pragma once

#include <memory>

#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope::gpu {

/// Throws DeviceError with a reason of one line where this machine has no GPU or no NCCL.
void check_nccl();

/// A step is launched kernel by kernel. All processes call it together. Throws DeviceError, and
/// PeerLost.
std::unique_ptr<RankExecutor> make_nccl_executor(const Plan& plan, const ExecutorOptions& options,
                                                 const RankPlace& place, Control& control);

}  // namespace bubblescope::gpu

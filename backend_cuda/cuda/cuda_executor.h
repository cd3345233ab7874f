// Replays a plan on the GPUs of this machine, or one rank of it.
#pragma once

#include <memory>

#include "backend_cuda/cuda/machine.h"
#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope::gpu {

/// Ranks are spread over the GPUs, neighbours together. A step is held back by a gate until all of
/// it is launched. Every action and message notes its start and end by %globaltimer.
std::unique_ptr<Executor> make_cuda_executor(const Plan& plan, const ExecutorOptions& options);

/// One rank alone, on one GPU; a step waits behind its gate until it is opened.
std::unique_ptr<RankExecutor> make_cuda_rank_executor(const Plan& plan,
                                                      const ExecutorOptions& options,
                                                      const Here& here);

}  // namespace bubblescope::gpu

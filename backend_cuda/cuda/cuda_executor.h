// Replays a plan on the GPUs of this machine, in one process.
#pragma once

#include <memory>

#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

/// Ranks are spread over the GPUs, neighbours together. A step is held back by a gate until all of
/// it is launched. Every action and message notes its start and end by %globaltimer.
std::unique_ptr<Executor> make_cuda_executor(const Plan& plan, const ExecutorOptions& options);

}  // namespace bubblescope::gpu

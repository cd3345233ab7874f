// Replays a plan by threads, one for each stream of each rank.
#pragma once

#include <memory>

#include "backend_cuda/replay/executor.h"

namespace bubblescope {

/// On a virtual clock (unless options.real_time) every thread keeps the time of its stream: an
/// instruction starts at the latest of its stream's time and of what it waits for, and lasts what
/// the costs say, so that the times do not depend on the machine. That proves order and messages;
/// it measures nothing. Data is real in both: messages are copied from buffer to buffer, and an
/// action that finds another input than its own fails.
std::unique_ptr<Executor> make_host_executor(const Plan& plan, const ExecutorOptions& options);

}  // namespace bubblescope

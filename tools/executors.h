// Which machine replays.
#pragma once

#include <memory>

#include "backend_cuda/replay/executor.h"
#include "tools/machine_options.h"

namespace bubblescope {

/// The variable of the environment that names the module of `--backend cuda`.
constexpr const char* kCudaModuleVariable = "BUBBLESCOPE_CUDA_MODULE";

/// The plan has to outlive it. Throws DeviceError, in one line, where there is no such machine.
std::unique_ptr<Executor> make_executor(Backend backend, const Plan& plan,
                                        const ExecutorOptions& options);

}  // namespace bubblescope

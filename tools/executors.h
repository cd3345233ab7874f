// Which machine replays.
#pragma once

#include <memory>

#include "backend_cuda/replay/rank_executor.h"
#include "tools/options/machine_options.h"

namespace bubblescope {

/// The variable of the environment that names the module of `--backend cuda` and `nccl`.
constexpr const char* kCudaModuleVariable = "BUBBLESCOPE_CUDA_MODULE";

/// Of a machine that one process runs: not of Backend::Nccl. The plan has to outlive it. Throws
/// DeviceError, in one line, where there is no such machine.
std::unique_ptr<Executor> make_executor(Backend backend, const Plan& plan,
                                        const ExecutorOptions& options);

/// Throws DeviceError, in one line, where this machine has no GPU or no NCCL.
void check_nccl();
/// As MakeRankExecutor says.
std::unique_ptr<RankExecutor> make_rank_executor(const Plan& plan, const ExecutorOptions& options,
                                                 const RankPlace& place, Control& control);

}  // namespace bubblescope

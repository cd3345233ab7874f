// What the program finds in the module for `--backend nccl`.
#include "backend_cuda/nccl/nccl_executor.h"

/// `kCheckNccl`, a `CheckNccl`.
extern "C" __attribute__((visibility("default"))) void bubblescope_check_nccl() {
  bubblescope::gpu::check_nccl();
}

/// `kMakeRankExecutor`, a `MakeRankExecutor`.
extern "C" __attribute__((visibility("default"))) bubblescope::RankExecutor*
bubblescope_make_rank_executor(const bubblescope::Plan& plan,
                               const bubblescope::ExecutorOptions& options,
                               const bubblescope::RankPlace& place, bubblescope::Control& control) {
  return bubblescope::gpu::make_nccl_executor(plan, options, place, control).release();
}

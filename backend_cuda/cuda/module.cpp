// What the program finds in the module once it has loaded it.
#include "backend_cuda/cuda/cuda_executor.h"

/// `kMakeExecutor`, a `MakeExecutor`.
extern "C" __attribute__((visibility("default"))) bubblescope::Executor* bubblescope_make_executor(
    const bubblescope::Plan& plan, const bubblescope::ExecutorOptions& options) {
  return bubblescope::gpu::make_cuda_executor(plan, options).release();
}

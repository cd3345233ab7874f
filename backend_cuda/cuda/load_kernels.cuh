// Kernels are loaded before anything runs: CUDA loads one when it is first used, which may wait for
// the kernels that run.
#pragma once

#include <cuda_runtime_api.h>

namespace bubblescope::gpu {

/// On the current GPU. The first error, if there is one.
template <class... Kernels>
cudaError_t load_all(Kernels*... kernels) {
  cudaError_t result = cudaSuccess;
  cudaFuncAttributes attributes;
  const auto loads = [&](auto* kernel) {
    result = cudaFuncGetAttributes(&attributes, kernel);
    return result == cudaSuccess;
  };
  static_cast<void>((loads(kernels) && ...));
  return result;
}

}  // namespace bubblescope::gpu

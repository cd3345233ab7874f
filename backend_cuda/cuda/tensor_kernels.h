// The kernels of the tensor workload beside its matrix products, behind launchers that host code
// can call. Every kernel ends by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cuda_runtime_api.h>

#include "backend_cuda/cuda/stamp.h"
#include "backend_cuda/cuda/tensor_math.h"

namespace bubblescope::gpu {

/// How many partial sums a loss has: their number is fixed, so that it is the same in every run.
inline constexpr unsigned int kLossParts = 64;

/// Bytes are moved in such pieces, and all buffers are aligned to them.
inline constexpr std::size_t kCopyUnit = 16;

/// Elements of a tensor are touched so many at a time: its size is a multiple of this.
inline constexpr std::size_t kVector = kCopyUnit / sizeof(Bf16);

struct RandomLaunch {
  Bf16* to;
  std::size_t count;
  std::uint64_t key;
  float scale;  ///< Values are uniform in −scale … scale.
};

/// y and the target are [count]; the target is random by `key` and `scale`, made on the spot.
struct LossLaunch {
  const Bf16* y;
  std::size_t count;
  std::uint64_t key;
  float scale;
};

struct MessageLaunch {
  const void* from;  ///< A multiple of kCopyUnit bytes, aligned to it; so is `to`.
  void* to;
  std::size_t bytes;
  unsigned long long nanoseconds;  ///< From start to end, at least.
  Stamp* stamp;
  unsigned int* arrived;  ///< In device memory: 0, and 0 again when the kernel has ended.
  unsigned int blocks;
};

/// Loads every kernel now: one that is first launched while streams are captured could not be.
cudaError_t load_tensor_kernels();

cudaError_t launch_random(const RandomLaunch& launch, cudaStream_t stream);
/// h = tanh(h), [count] in place.
cudaError_t launch_tanh(Bf16* h, std::size_t count, cudaStream_t stream);
/// da = da · (1 − a²), [count] in place.
cudaError_t launch_tanh_backward(Bf16* da, const Bf16* a, std::size_t count, cudaStream_t stream);
/// parts[kLossParts], whose sum is ½ · mean((y − target)²).
cudaError_t launch_loss(const LossLaunch& launch, float* parts, cudaStream_t stream);
/// dy = (y − target) / count
cudaError_t launch_loss_gradient(const LossLaunch& launch, Bf16* dy, cudaStream_t stream);

/// Copies, then waits until the time has passed.
cudaError_t launch_message(const MessageLaunch& launch, cudaStream_t stream);
/// The moments before and behind what a stream holds between these two; the second comes no sooner
/// than `nanoseconds` after the first.
cudaError_t launch_stamp_start(Stamp* stamp, cudaStream_t stream);
cudaError_t launch_stamp_end(Stamp* stamp, unsigned long long nanoseconds, cudaStream_t stream);

}  // namespace bubblescope::gpu

// One stage of the model that tensors are replayed with: residual MLP blocks
//   y = x + tanh(x·W1)·W2
// in bf16, with sums and the gradients of weights in float.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cuda_runtime_api.h>

#include "backend_cuda/cuda/cublas_lt.h"
#include "backend_cuda/cuda/tensor_math.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

/// Tensors begin at multiples of this many bytes: cublasLt's algorithms are chosen for it.
inline constexpr std::size_t kAlignment = 256;

/// `count` elements of `bytes` each, with what it takes until the next may begin.
constexpr std::size_t padded(std::size_t count, std::size_t bytes) {
  const std::size_t unit = kAlignment / bytes;
  return (count + unit - 1) / unit * unit;
}

/// Where an op finds and leaves its tensors, in device memory.
struct StageTensors {
  const Bf16* weights;          ///< [Mlp::weights()] Block by block, W1, then W2.
  float* gradients;             ///< The same of their gradients, which are added to.
  Bf16* slot;                   ///< [Mlp::slot()] What F leaves for I and W, and I for W.
  const Bf16* x;                ///< [tokens × hidden] Input; x, y, dy and dx are alike.
  Bf16* y = nullptr;            ///< Output of F; read again by I where the loss is made.
  const Bf16* dy = nullptr;     ///< Gradient of the output; null where the stage makes the loss.
  Bf16* dx = nullptr;           ///< Gradient of the input; null where nobody reads it.
  float* loss_parts = nullptr;  ///< [kLossParts] Where the stage makes the loss.
  std::uint64_t target_key = 0;
  void* workspace = nullptr;  ///< [CublasLt::workspace_bytes()]
};

/// Values of unit variance are uniform in ± this.
inline constexpr float kUnitScale = 1.7320508F;

class Mlp {
 public:
  /// For products on `sms` SMs. `shape.hidden` and `shape.inner` are multiples of kVector. Throws
  /// DeviceError where cublasLt is missing or knows no algorithm.
  Mlp(const TensorShape& shape, unsigned int sms);

  std::size_t activation() const { return activation_; }  ///< Elements of x, padded.
  std::size_t weight() const { return weight_; }          ///< Of W1, and of W2, padded.
  std::size_t weights() const { return 2 * blocks_ * weight_; }
  std::size_t slot() const { return blocks_ * (2 * activation_ + 2 * inner_activation_); }
  std::size_t blocks() const { return blocks_; }
  std::size_t activation_count() const { return activation_count_; }  ///< Without padding.
  std::size_t weight_count() const { return weight_count_; }          ///< Without padding.

  /// How many kernels an op takes, at most.
  std::size_t kernels(OpKind kind) const;
  /// F, and the loss where dy is null.
  void forward(const StageTensors& tensors, cudaStream_t stream) const;
  /// I
  void backward_input(const StageTensors& tensors, cudaStream_t stream) const;
  /// W
  void backward_weight(const StageTensors& tensors, cudaStream_t stream) const;

 private:
  struct Block;
  Block block(const StageTensors& tensors, std::size_t index) const;

  std::size_t blocks_;
  std::size_t activation_count_;
  std::size_t inner_count_;
  std::size_t weight_count_;
  std::size_t activation_;
  std::size_t inner_activation_;
  std::size_t weight_;
  CublasLt cublas_;
  Matmul h_;    ///< x·W1
  Matmul y_;    ///< x + a·W2
  Matmul da_;   ///< dy·W2ᵀ
  Matmul dx_;   ///< dy + dh·W1ᵀ
  Matmul dw1_;  ///< dW1 + xᵀ·dh
  Matmul dw2_;  ///< dW2 + aᵀ·dy
};

}  // namespace bubblescope::gpu

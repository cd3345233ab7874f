#include "backend_cuda/cuda/mlp.h"

#include "backend_cuda/cuda/check.h"
#include "backend_cuda/cuda/tensor_kernels.h"

namespace bubblescope::gpu {
namespace {

using Result = MatmulShape::Result;

constexpr std::size_t product(int a, int b) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

LossLaunch loss_of(const StageTensors& tensors, std::size_t count) {
  return {.y = tensors.y, .count = count, .key = tensors.target_key, .scale = kUnitScale};
}

}  // namespace

/// The tensors of one block. A slot has x, a, dh and dy of each; the first block's x and, but for
/// the loss's, the last one's dy stay where the stage got them.
struct Mlp::Block {
  const Bf16* w1;
  const Bf16* w2;
  float* dw1;
  float* dw2;
  const Bf16* x;
  Bf16* a;  ///< h before it is a.
  Bf16* y;
  const Bf16* dy;
  Bf16* dh;  ///< da before it is dh.
  Bf16* dx;  ///< Null where nobody reads it.
};

Mlp::Mlp(const TensorShape& shape, unsigned int sms)
    : blocks_(static_cast<std::size_t>(shape.blocks)),
      activation_count_(product(shape.tokens, shape.hidden)),
      inner_count_(product(shape.tokens, shape.inner)),
      weight_count_(product(shape.hidden, shape.inner)),
      activation_(padded(activation_count_, sizeof(Bf16))),
      inner_activation_(padded(inner_count_, sizeof(Bf16))),
      weight_(padded(weight_count_, sizeof(Bf16))),
      // rows, columns, inner; whether A and B lie transposed; what becomes of the product
      h_(cublas_, {shape.tokens, shape.inner, shape.hidden}, sms),
      y_(cublas_, {shape.tokens, shape.hidden, shape.inner, false, false, Result::Added}, sms),
      da_(cublas_, {shape.tokens, shape.inner, shape.hidden, false, true}, sms),
      dx_(cublas_, {shape.tokens, shape.hidden, shape.inner, false, true, Result::Added}, sms),
      dw1_(cublas_, {shape.hidden, shape.inner, shape.tokens, true, false, Result::Accumulated},
           sms),
      dw2_(cublas_, {shape.inner, shape.hidden, shape.tokens, true, false, Result::Accumulated},
           sms) {}

Mlp::Block Mlp::block(const StageTensors& tensors, std::size_t index) const {
  Bf16* const x = tensors.slot;
  Bf16* const dy = x + blocks_ * activation_;
  Bf16* const a = dy + blocks_ * activation_;
  Bf16* const dh = a + blocks_ * inner_activation_;
  const bool is_first = index == 0;
  const bool is_last = index + 1 == blocks_;
  const std::size_t w1 = 2 * index * weight_;
  return {.w1 = tensors.weights + w1,
          .w2 = tensors.weights + w1 + weight_,
          .dw1 = tensors.gradients + w1,
          .dw2 = tensors.gradients + w1 + weight_,
          .x = is_first ? tensors.x : x + index * activation_,
          .a = a + index * inner_activation_,
          .y = is_last ? tensors.y : x + (index + 1) * activation_,
          .dy = is_last && tensors.dy != nullptr ? tensors.dy : dy + index * activation_,
          .dh = dh + index * inner_activation_,
          .dx = is_first ? tensors.dx : dy + (index - 1) * activation_};
}

std::size_t Mlp::kernels(OpKind kind) const {
  const std::size_t with_loss = 3 * blocks_ + 1;  // also of F and I that do not make it
  const std::size_t of_weights = 2 * blocks_;
  switch (kind) {
    case OpKind::Forward:
    case OpKind::BackwardInput:
      return with_loss;
    case OpKind::BackwardWeight:
      return of_weights;
    case OpKind::Backward:
      break;
  }
  return with_loss + of_weights;
}

void Mlp::forward(const StageTensors& tensors, cudaStream_t stream) const {
  for (std::size_t i = 0; i < blocks_; ++i) {
    const Block b = block(tensors, i);
    h_.enqueue({.a = b.x, .b = b.w1, .d = b.a, .workspace = tensors.workspace}, stream);
    BUBBLESCOPE_CHECK(launch_tanh(b.a, inner_count_, stream));
    y_.enqueue({.a = b.a, .b = b.w2, .c = b.x, .d = b.y, .workspace = tensors.workspace}, stream);
  }
  if (tensors.dy == nullptr)
    BUBBLESCOPE_CHECK(launch_loss(loss_of(tensors, activation_count_), tensors.loss_parts, stream));
}

void Mlp::backward_input(const StageTensors& tensors, cudaStream_t stream) const {
  if (tensors.dy == nullptr) {
    Bf16* const dy = tensors.slot + (2 * blocks_ - 1) * activation_;  // the last block's
    BUBBLESCOPE_CHECK(launch_loss_gradient(loss_of(tensors, activation_count_), dy, stream));
  }
  for (std::size_t i = blocks_; i-- > 0;) {
    const Block b = block(tensors, i);
    da_.enqueue({.a = b.dy, .b = b.w2, .d = b.dh, .workspace = tensors.workspace}, stream);
    BUBBLESCOPE_CHECK(launch_tanh_backward(b.dh, b.a, inner_count_, stream));
    if (b.dx != nullptr)
      dx_.enqueue({.a = b.dh, .b = b.w1, .c = b.dy, .d = b.dx, .workspace = tensors.workspace},
                  stream);
  }
}

void Mlp::backward_weight(const StageTensors& tensors, cudaStream_t stream) const {
  for (std::size_t i = blocks_; i-- > 0;) {
    const Block b = block(tensors, i);
    dw1_.enqueue({.a = b.x, .b = b.dh, .d = b.dw1, .workspace = tensors.workspace}, stream);
    dw2_.enqueue({.a = b.a, .b = b.dy, .d = b.dw2, .workspace = tensors.workspace}, stream);
  }
}

}  // namespace bubblescope::gpu

#include "backend_cuda/cuda/unpipelined.h"

#include <cmath>
#include <numeric>

#include "backend_cuda/cuda/check.h"
#include "backend_cuda/cuda/tensor_kernels.h"

namespace bubblescope::gpu {
namespace {

enum class Kind : std::uint64_t { Input, Target, Weight };

std::uint64_t key_of(std::uint64_t seed, Kind kind, std::uint64_t index) {
  const std::uint64_t of_kind = mix(seed + (static_cast<std::uint64_t>(kind) + 1) * kGolden);
  return mix(of_kind + index * kGolden);
}

}  // namespace

void Randoms::enqueue_weights(std::int32_t weights_of_stage, Bf16* weights,
                              cudaStream_t stream) const {
  const std::size_t tensors = 2 * mlp_.blocks();
  for (std::size_t i = 0; i < tensors; ++i) {
    // So that h and tanh(h)·W2 neither vanish nor grow with the width.
    const int width = i % 2 == 0 ? shape_.hidden : shape_.inner;
    BUBBLESCOPE_CHECK(
        launch_random({.to = weights + i * mlp_.weight(),
                       .count = mlp_.weight_count(),
                       .key = key_of(shape_.seed, Kind::Weight,
                                     static_cast<std::uint64_t>(weights_of_stage) * tensors + i),
                       .scale = kUnitScale / std::sqrt(static_cast<float>(width))},
                      stream));
  }
}

void Randoms::enqueue_input(MicroBatch microbatch, Bf16* x, cudaStream_t stream) const {
  BUBBLESCOPE_CHECK(launch_random(
      {.to = x,
       .count = mlp_.activation_count(),
       .key = key_of(shape_.seed, Kind::Input, static_cast<std::uint64_t>(microbatch)),
       .scale = kUnitScale},
      stream));
}

std::uint64_t Randoms::target_key(MicroBatch microbatch) const {
  return key_of(shape_.seed, Kind::Target, static_cast<std::uint64_t>(microbatch));
}

Unpipelined::Unpipelined(const TensorShape& shape, const Mlp& mlp, const Placement& placement)
    : mlp_(mlp),
      placement_(placement),
      randoms_(shape, mlp),
      depth_(static_cast<std::size_t>(placement.depth)),
      stream_(make_stream()),
      weights_(depth_ * mlp.weights(), "the unpipelined run's weights"),
      gradients_(depth_ * mlp.weights(), "the unpipelined run's gradients"),
      slots_(depth_ * mlp.slot(), "the unpipelined run's activations"),
      activations_((depth_ + 1) * mlp.activation(), "the unpipelined run's outputs"),
      input_gradients_(depth_ * mlp.activation(), "the unpipelined run's output gradients"),
      loss_parts_(kLossParts, "a loss"),
      workspace_(CublasLt::workspace_bytes(), "a workspace") {
  for (std::size_t w = 0; w < depth_; ++w)
    randoms_.enqueue_weights(static_cast<std::int32_t>(w), weights_.data() + w * mlp.weights(),
                             stream_.get());
}

StageTensors Unpipelined::tensors_of(MicroBatch microbatch, int pipe, std::size_t k) const {
  const auto stage = static_cast<std::size_t>(pipe) * depth_ + k;
  const auto w = static_cast<std::size_t>(placement_.weights_of_stage[stage]);
  const std::size_t size = mlp_.activation();
  return {.weights = weights_.data() + w * mlp_.weights(),
          .gradients = gradients_.data() + w * mlp_.weights(),
          .slot = slots_.data() + k * mlp_.slot(),
          .x = activations_.data() + k * size,
          .y = activations_.data() + (k + 1) * size,
          .dy = k + 1 == depth_ ? nullptr : input_gradients_.data() + (k + 1) * size,
          .dx = k == 0 ? nullptr : input_gradients_.data() + k * size,
          .loss_parts = loss_parts_.data(),
          .target_key = randoms_.target_key(microbatch),
          .workspace = workspace_.data()};
}

double Unpipelined::run(MicroBatch microbatch, int pipe) {
  randoms_.enqueue_input(microbatch, activations_.data(), stream_.get());
  for (std::size_t k = 0; k < depth_; ++k)
    mlp_.forward(tensors_of(microbatch, pipe, k), stream_.get());
  for (std::size_t k = depth_; k-- > 0;) {
    const StageTensors tensors = tensors_of(microbatch, pipe, k);
    mlp_.backward_input(tensors, stream_.get());
    mlp_.backward_weight(tensors, stream_.get());
  }
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream_.get()));
  const std::vector<float> parts = loss_parts_.download();
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

}  // namespace bubblescope::gpu

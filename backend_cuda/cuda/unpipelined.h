// The model of the tensor workload, and its run without a pipeline.
#pragma once

#include <cstddef>
#include <vector>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/cuda/mlp.h"
#include "sim/schedule/placement.h"

namespace bubblescope::gpu {

/// All that is random, by the seed alone, whichever rank makes it.
class Randoms {
 public:
  Randoms(const TensorShape& shape, const Mlp& mlp) : shape_(shape), mlp_(mlp) {}

  /// weights[Mlp::weights()] of the stages with this entry in Placement::weights_of_stage.
  void enqueue_weights(std::int32_t weights_of_stage, Bf16* weights, cudaStream_t stream) const;
  /// x[Mlp::activation()] of a first stage.
  void enqueue_input(MicroBatch microbatch, Bf16* x, cudaStream_t stream) const;
  std::uint64_t target_key(MicroBatch microbatch) const;

 private:
  TensorShape shape_;
  const Mlp& mlp_;
};

/// Micro-batch after micro-batch goes through all stages and back, on the current GPU and in one
/// stream, with the kernels and algorithms of the pipeline, but in memory of its own.
class Unpipelined {
 public:
  Unpipelined(const TensorShape& shape, const Mlp& mlp, const Placement& placement);

  /// Adds to the gradients; returns the loss of the micro-batch.
  double run(MicroBatch microbatch, int pipe);
  /// Of the stages with this entry in Placement::weights_of_stage; [Mlp::weights()].
  const float* gradients(std::size_t weights_of_stage) const {
    return gradients_.data() + weights_of_stage * mlp_.weights();
  }

 private:
  StageTensors tensors_of(MicroBatch microbatch, int pipe, std::size_t k) const;

  const Mlp& mlp_;
  Placement placement_;
  Randoms randoms_;
  std::size_t depth_;
  Stream stream_;
  DeviceBuffer<Bf16> weights_;          // [weights_of_stage]
  DeviceBuffer<float> gradients_;       // [weights_of_stage]
  DeviceBuffer<Bf16> slots_;            // [place along the pipe]
  DeviceBuffer<Bf16> activations_;      // [depth + 1] the input, then each stage's output
  DeviceBuffer<Bf16> input_gradients_;  // [place along the pipe]
  DeviceBuffer<float> loss_parts_;
  DeviceBuffer<unsigned char> workspace_;
};

}  // namespace bubblescope::gpu

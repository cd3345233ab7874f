// A stage's model on the host: residual MLP blocks, with the input's and the weights' gradients
// apart, as Zero Bubble splits the backward. What multiplies throws Aborted soon after a step is.
#pragma once

#include <Eigen/Core>
#include <random>
#include <vector>

#include "backend_cuda/host/abort.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope {

using Matrix = Eigen::MatrixXd;

/// Of one block; gradients have the same shapes.
struct BlockWeights {
  Matrix w1;  ///< [hidden × inner]
  Matrix w2;  ///< [inner × hidden]
};
using StageWeights = std::vector<BlockWeights>;  ///< [block]

/// What a micro-batch's forward leaves for its backward, and that for the weights' gradients.
struct SavedBlock {
  Matrix x;       ///< [tokens × hidden] the input
  Matrix a;       ///< [tokens × inner] tanh(x·W1)
  Matrix h_grad;  ///< [tokens × inner] of x·W1
  Matrix y_grad;  ///< [tokens × hidden] of the output
};
struct SavedStage {
  std::vector<SavedBlock> blocks;  ///< [block]
  Matrix loss_grad;                ///< [tokens × hidden], on the last stage of a pipe.
};

/// Entries normally distributed around 0, with the given deviation.
Matrix random_matrix(Eigen::Index rows, Eigen::Index columns, double deviation,
                     std::mt19937_64& random);
StageWeights random_weights(const TensorShape& shape, std::mt19937_64& random);
StageWeights zero_weights(const TensorShape& shape);

/// F: y = x + tanh(x·W1)·W2, block after block. Returns the last y.
Matrix forward(const StageWeights& weights, Matrix x, SavedStage& saved, const AbortFlag& aborted);
/// I: the gradient of the stage's input from that of its output.
Matrix backward_input(const StageWeights& weights, Matrix y_grad, SavedStage& saved,
                      const AbortFlag& aborted);
/// W: adds the weights' gradients to `gradients`; `saved` is of no more use.
void backward_weights(SavedStage& saved, StageWeights& gradients, const AbortFlag& aborted);

/// ½·mean((y − target)²); leaves its gradient for y in `saved`.
double loss(const Matrix& y, const Matrix& target, SavedStage& saved);

}  // namespace bubblescope

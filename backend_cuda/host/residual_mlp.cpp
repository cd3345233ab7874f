#include "backend_cuda/host/residual_mlp.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace bubblescope {
namespace {

/// Adds left·right to `sum`, some columns at a time: about a second's work on one core, at most.
template <typename Left, typename Right>
void add_product(const Left& left, const Right& right, Matrix& sum, const AbortFlag& aborted) {
  constexpr Eigen::Index kMultiplications = 1 << 30;
  const Eigen::Index step = std::max<Eigen::Index>(4, kMultiplications / left.size());
  for (Eigen::Index first = 0; first < right.cols(); first += step) {
    if (aborted)
      throw Aborted();
    const Eigen::Index columns = std::min(step, right.cols() - first);
    sum.middleCols(first, columns).noalias() += left * right.middleCols(first, columns);
  }
}

}  // namespace

Matrix random_matrix(Eigen::Index rows, Eigen::Index columns, double deviation,
                     std::mt19937_64& random) {
  std::normal_distribution<double> normal(0, deviation);
  return Matrix::NullaryExpr(rows, columns, [&] { return normal(random); });
}

StageWeights random_weights(const TensorShape& shape, std::mt19937_64& random) {
  StageWeights weights;
  for (int block = 0; block < shape.blocks; ++block) {
    Matrix w1 = random_matrix(shape.hidden, shape.inner, 1 / std::sqrt(shape.hidden), random);
    Matrix w2 = random_matrix(shape.inner, shape.hidden, 1 / std::sqrt(shape.inner), random);
    weights.push_back({std::move(w1), std::move(w2)});
  }
  return weights;
}

StageWeights zero_weights(const TensorShape& shape) {
  return StageWeights(
      static_cast<std::size_t>(shape.blocks),
      {Matrix::Zero(shape.hidden, shape.inner), Matrix::Zero(shape.inner, shape.hidden)});
}

Matrix forward(const StageWeights& weights, Matrix x, SavedStage& saved, const AbortFlag& aborted) {
  saved.blocks.resize(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    SavedBlock& block = saved.blocks[i];
    block.x = std::move(x);
    block.a = Matrix::Zero(block.x.rows(), weights[i].w1.cols());
    add_product(block.x, weights[i].w1, block.a, aborted);
    block.a = block.a.array().tanh();
    x = block.x;
    add_product(block.a, weights[i].w2, x, aborted);
  }
  return x;
}

Matrix backward_input(const StageWeights& weights, Matrix y_grad, SavedStage& saved,
                      const AbortFlag& aborted) {
  for (std::size_t i = weights.size(); i-- > 0;) {
    SavedBlock& block = saved.blocks[i];
    block.y_grad = std::move(y_grad);
    block.h_grad = Matrix::Zero(block.a.rows(), block.a.cols());
    add_product(block.y_grad, weights[i].w2.transpose(), block.h_grad, aborted);
    block.h_grad.array() *= 1 - block.a.array().square();
    y_grad = block.y_grad;
    add_product(block.h_grad, weights[i].w1.transpose(), y_grad, aborted);
  }
  return y_grad;
}

void backward_weights(SavedStage& saved, StageWeights& gradients, const AbortFlag& aborted) {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const SavedBlock& block = saved.blocks[i];
    add_product(block.x.transpose(), block.h_grad, gradients[i].w1, aborted);
    add_product(block.a.transpose(), block.y_grad, gradients[i].w2, aborted);
  }
  saved = {};
}

double loss(const Matrix& y, const Matrix& target, SavedStage& saved) {
  const auto size = static_cast<double>(y.size());
  const Matrix difference = y - target;
  saved.loss_grad = difference / size;
  return difference.squaredNorm() / (2 * size);
}

}  // namespace bubblescope

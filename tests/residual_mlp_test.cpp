// The model that tensors replay on the host: its gradients are those of its loss.
#include "backend_cuda/host/residual_mlp.h"

#include <doctest/doctest.h>

namespace bubblescope {
namespace {

const AbortFlag kGoesOn = false;

TEST_CASE("the gradients of a stage are the slopes of its loss, by finite differences") {
  constexpr double kStep = 1e-5;
  const TensorShape shape{.tokens = 3, .hidden = 4, .inner = 5, .blocks = 2};
  std::mt19937_64 random(7);
  StageWeights weights = random_weights(shape, random);
  Matrix input = random_matrix(shape.tokens, shape.hidden, 1, random);
  const Matrix target = random_matrix(shape.tokens, shape.hidden, 1, random);
  const auto loss_now = [&] {
    SavedStage saved;
    return loss(forward(weights, input, saved, kGoesOn), target, saved);
  };
  SavedStage saved;
  StageWeights gradients = zero_weights(shape);
  loss(forward(weights, input, saved, kGoesOn), target, saved);
  const Matrix input_grad = backward_input(weights, saved.loss_grad, saved, kGoesOn);
  backward_weights(saved, gradients, kGoesOn);
  const auto check = [&](Matrix& tensor, const Matrix& gradient) {
    for (Eigen::Index i = 0; i < tensor.size(); ++i) {
      double& entry = tensor.data()[i];
      const double value = entry;
      entry = value + kStep;
      const double above = loss_now();
      entry = value - kStep;
      const double below = loss_now();
      entry = value;
      CHECK((above - below) / (2 * kStep) ==
            doctest::Approx(gradient.data()[i]).epsilon(1e-6).scale(1e-2));
    }
  };
  check(input, input_grad);
  for (std::size_t block = 0; block < weights.size(); ++block) {
    check(weights[block].w1, gradients[block].w1);
    check(weights[block].w2, gradients[block].w2);
  }
}

TEST_CASE("products of an aborted step end") {
  const TensorShape shape;
  std::mt19937_64 random(7);
  const StageWeights weights = random_weights(shape, random);
  const Matrix input = random_matrix(shape.tokens, shape.hidden, 1, random);
  SavedStage saved;
  const Matrix y = forward(weights, input, saved, kGoesOn);
  backward_input(weights, y, saved, kGoesOn);
  const AbortFlag aborted = true;
  StageWeights gradients = zero_weights(shape);
  CHECK_THROWS_AS(backward_weights(saved, gradients, aborted), Aborted);
  CHECK_THROWS_AS(backward_input(weights, y, saved, aborted), Aborted);
  CHECK_THROWS_AS(forward(weights, input, saved, aborted), Aborted);
}

}  // namespace
}  // namespace bubblescope

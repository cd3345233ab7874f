#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/host/host_work.h"
#include "backend_cuda/host/residual_mlp.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

/// Data that depends on nothing but the seed and what it is for.
std::mt19937_64 random_for(std::uint64_t seed, std::uint64_t purpose, int index) {
  std::seed_seq sequence{seed, purpose, static_cast<std::uint64_t>(index)};
  return std::mt19937_64(sequence);
}

class TensorWork final : public HostWork {
 public:
  TensorWork(const Plan& plan, const TensorShape& shape, const AbortFlag& aborted)
      : plan_(plan),
        shape_(shape),
        aborted_(aborted),
        number_(plan.schedule().placement, plan.schedule().microbatches),
        made_(number_.size()),
        arrived_(number_.size()),
        saved_(static_cast<std::size_t>(plan.ranks())) {
    for (int stage = 0; stage < placement().depth; ++stage) {
      std::mt19937_64 random = random_for(shape.seed, kWeights, stage);
      weights_.push_back(random_weights(shape, random));
    }
    for (std::size_t rank = 0; rank < saved_.size(); ++rank)
      saved_[rank].resize(plan.activation_slots[rank]);
  }

  void reset() override {
    gradients_.assign(static_cast<std::size_t>(placement().stages()), zero_weights(shape_));
    loss_.assign(static_cast<std::size_t>(placement().stages()), 0.0);
  }

  void execute(const Action& action) override {
    action.for_each_op([&](const Op& op) { execute(op); });
  }

  void deliver(const PlanMessage& message) override {
    Matrix& sent = made_[number_[message.sent]];
    arrived_[number_[message.expected]] = sent;
    sent = Matrix();
  }

  std::optional<Parity> parity() override {
    const Reference reference = run_unpipelined();
    double sum = 0;
    for (const double of_stage : loss_)
      sum += of_stage;
    Parity parity{.loss = sum,
                  .reference_loss = reference.loss,
                  .loss_error = std::abs(sum - reference.loss) / std::abs(reference.loss),
                  .tolerance = kTolerance};
    for (int i = 0; i < placement().depth; ++i)
      compare(i, reference.gradients[static_cast<std::size_t>(i)], parity);
    return parity;
  }

 private:
  /// Both runs compute the same products in double precision and add them up over micro-batches in
  /// other orders: errors of a few 1e-16 for each micro-batch.
  static constexpr double kTolerance = 1e-12;
  static constexpr std::uint64_t kWeights = 1;  // purposes of random data
  static constexpr std::uint64_t kInput = 2;
  static constexpr std::uint64_t kTarget = 3;

  struct Reference {
    double loss = 0;
    std::vector<StageWeights> gradients = {};  // [depth]
  };

  const Placement& placement() const { return plan_.schedule().placement; }
  const StageWeights& weights(Stage stage) const {
    return weights_[static_cast<std::size_t>(
        placement().weights_of_stage[static_cast<std::size_t>(stage)])];
  }
  Matrix data(std::uint64_t purpose, MicroBatch microbatch) const {
    std::mt19937_64 random = random_for(shape_.seed, purpose, microbatch);
    return random_matrix(shape_.tokens, shape_.hidden, 1, random);
  }

  void execute(const Op& op) {
    const auto rank = static_cast<std::size_t>(placement().rank(op.stage()));
    SavedStage& saved = saved_[rank][plan_.slot_of(op)];
    const bool has_forward = !saved.blocks.empty();
    const bool has_input_grad = has_forward && saved.blocks.front().h_grad.size() > 0;
    if (op.kind() == OpKind::BackwardWeight ? !has_input_grad
                                            : has_forward == (op.kind() == OpKind::Forward))
      throw DeviceError(fmt::format("rank {}: {} finds its activations' slot in use or empty", rank,
                                    to_string(op)));
    const auto stage = static_cast<std::size_t>(op.stage());
    switch (op.kind()) {
      case OpKind::Forward: {
        Matrix y = forward(weights(op.stage()), input(op), saved, aborted_);
        if (placement().after(op.stage()))
          made_[number_[op]] = std::move(y);
        else
          loss_[stage] += loss(y, data(kTarget, op.microbatch()), saved);
        return;
      }
      case OpKind::BackwardInput:
      case OpKind::Backward: {
        Matrix y_grad = placement().after(op.stage()) ? input(op) : std::move(saved.loss_grad);
        Matrix x_grad = backward_input(weights(op.stage()), std::move(y_grad), saved, aborted_);
        if (placement().before(op.stage()))
          made_[number_[op]] = std::move(x_grad);
        if (op.kind() == OpKind::Backward)
          backward_weights(saved, gradients_[stage], aborted_);
        return;
      }
      case OpKind::BackwardWeight:
        backward_weights(saved, gradients_[stage], aborted_);
        return;
    }
  }

  /// Takes what the stage before or after made, from its buffer here.
  Matrix input(const Op& op) {
    const auto maker = maker_of_input(placement(), op);
    if (!maker)
      return data(kInput, op.microbatch());
    const bool is_local = placement().rank(*maker) == placement().rank(op.stage());
    const std::size_t number = number_[Op(op.kind(), *maker, op.microbatch())];
    Matrix taken = std::exchange((is_local ? made_ : arrived_)[number], Matrix());
    if (taken.size() == 0)
      throw DeviceError(
          fmt::format("rank {}: {} finds no input", placement().rank(op.stage()), to_string(op)));
    return taken;
  }

  /// Micro-batch after micro-batch, each through all stages and back.
  Reference run_unpipelined() const {
    const int depth = placement().depth;
    Reference reference;
    reference.gradients.assign(static_cast<std::size_t>(depth), zero_weights(shape_));
    std::vector<SavedStage> saved(static_cast<std::size_t>(depth));
    for (MicroBatch each = 0; each < plan_.schedule().microbatches; ++each) {
      Matrix x = data(kInput, each);
      for (std::size_t i = 0; i < saved.size(); ++i)
        x = forward(weights_[i], std::move(x), saved[i], aborted_);
      reference.loss += loss(x, data(kTarget, each), saved.back());
      Matrix gradient = saved.back().loss_grad;
      for (std::size_t i = saved.size(); i-- > 0;) {
        gradient = backward_input(weights_[i], std::move(gradient), saved[i], aborted_);
        backward_weights(saved[i], reference.gradients[i], aborted_);
      }
    }
    return reference;
  }

  /// The gradients of all stages that share weights, added up.
  void compare(int index, const StageWeights& reference, Parity& parity) const {
    StageWeights sum = zero_weights(shape_);
    for (std::size_t stage = 0; stage < gradients_.size(); ++stage)
      for (std::size_t block = 0;
           placement().weights_of_stage[stage] == index && block < sum.size(); ++block) {
        sum[block].w1 += gradients_[stage][block].w1;
        sum[block].w2 += gradients_[stage][block].w2;
      }
    const auto compare_tensors = [&](const Matrix& ours, const Matrix& theirs, std::size_t block,
                                     const char* name) {
      const double error = (ours - theirs).cwiseAbs().maxCoeff() / theirs.cwiseAbs().maxCoeff();
      if (error > parity.gradient_error || parity.worst_tensor.empty() || std::isnan(error)) {
        parity.gradient_error = error;
        parity.worst_tensor = fmt::format("stage {}, block {}, {}", index, block, name);
      }
    };
    for (std::size_t block = 0; block < sum.size(); ++block) {
      compare_tensors(sum[block].w1, reference[block].w1, block, "W1");
      compare_tensors(sum[block].w2, reference[block].w2, block, "W2");
    }
  }

  const Plan& plan_;
  TensorShape shape_;
  const AbortFlag& aborted_;
  OutputNumbers number_;
  std::vector<StageWeights> weights_ = {};      // [depth]
  std::vector<StageWeights> gradients_ = {};    // [stage]
  std::vector<double> loss_ = {};               // [stage] at the end of a pipe
  std::vector<Matrix> made_;                    // [output] where it was made
  std::vector<Matrix> arrived_;                 // [output] where it is needed
  std::vector<std::vector<SavedStage>> saved_;  // [rank][slot]
};

}  // namespace

std::unique_ptr<HostWork> make_tensor_work(const Plan& plan, const TensorShape& shape,
                                           const AbortFlag& aborted) {
  return std::make_unique<TensorWork>(plan, shape, aborted);
}

}  // namespace bubblescope

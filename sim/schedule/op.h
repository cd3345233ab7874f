// What a rank executes: one op, or an F&B pair of two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "sim/base/types.h"

namespace bubblescope {

/// F, I, W and B in PyTorch's letters. (Zero Bubble's "B" is our I; Megatron's "B" is our B.)
enum class OpKind : std::uint8_t {
  Forward,         ///< F
  BackwardInput,   ///< I: the gradient for the stage's input
  BackwardWeight,  ///< W: the gradient for the stage's weights
  Backward,        ///< B: I, then W, as one op
};
constexpr std::uint32_t kOpKinds = 4;

constexpr char letter(OpKind kind) {
  return "FIWB"[static_cast<int>(kind)];
}

/// What is kept for one micro-batch changes by this many activations: +1 at F, −1 after W or B.
constexpr int live_activation_change(OpKind kind) {
  constexpr int kChange[] = {+1, 0, -1, -1};
  return kChange[static_cast<int>(kind)];
}

/// Eight bytes: schedules of 10⁸ ops are made of these.
class Op {
 public:
  static constexpr Stage kMostStages = 1 << 29;  ///< A stage and a kind share 32 bits.

  Op() = default;
  constexpr Op(OpKind kind, Stage stage, MicroBatch microbatch)
      : stage_and_kind_(static_cast<std::uint32_t>(stage) * kOpKinds +
                        static_cast<std::uint32_t>(kind)),
        microbatch_(microbatch) {}

  constexpr OpKind kind() const { return static_cast<OpKind>(stage_and_kind_ % kOpKinds); }
  constexpr Stage stage() const { return static_cast<Stage>(stage_and_kind_ / kOpKinds); }
  constexpr MicroBatch microbatch() const { return microbatch_; }
  /// For tables with an entry for each stage and kind: stage · kOpKinds + kind.
  constexpr std::size_t stage_and_kind() const { return stage_and_kind_; }

  friend bool operator==(const Op&, const Op&) = default;

 private:
  std::uint32_t stage_and_kind_;
  MicroBatch microbatch_;
};

/// One entry of a rank's order: an op, or an F&B pair, whose forward and full backward belong to
/// two micro-batches and run overlapped.
class Action {
 public:
  Action() = default;
  constexpr Action(Op op) : op_(op), overlapped_(op) {}  // NOLINT(google-explicit-constructor)
  /// An F&B pair. `forward` is an F and `backward` a B, of other stages or micro-batches.
  constexpr Action(Op forward, Op backward) : op_(forward), overlapped_(backward) {}

  constexpr bool is_pair() const { return !(op_ == overlapped_); }
  /// The op, or a pair's forward.
  constexpr const Op& op() const { return op_; }
  /// A pair's backward; the op itself where there is no pair.
  constexpr const Op& overlapped() const { return overlapped_; }

  /// Calls `visit(op)` for the op, or for a pair's forward, then its backward.
  template <typename Visitor>
  void for_each_op(Visitor&& visit) const {
    visit(op_);
    if (is_pair())
      visit(overlapped_);
  }

  friend bool operator==(const Action&, const Action&) = default;

 private:
  Op op_;
  Op overlapped_;
};

/// PyTorch's token, such as "0F3": stage, kind, micro-batch.
std::string to_string(const Op& op);
/// PyTorch's token; a pair is "(0F7;7B3)OVERLAP_F_B".
std::string to_string(const Action& action);

}  // namespace bubblescope

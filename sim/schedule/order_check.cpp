#include "sim/schedule/order_check.h"

#include <cstdint>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"

namespace bubblescope {
namespace {

/// What has happened to one micro-batch on one stage, as a set of bits.
enum : std::uint8_t { kNone = 0, kForward = 1, kInputGrad = 2, kWeightGrad = 4, kAll = 7 };

constexpr std::uint8_t effect(OpKind kind) {
  constexpr std::uint8_t kEffects[] = {kForward, kInputGrad, kWeightGrad, kInputGrad | kWeightGrad};
  return kEffects[static_cast<int>(kind)];
}

/// What must have happened before: nothing for F, the F for I and B, both for W.
constexpr std::uint8_t requirement(OpKind kind) {
  constexpr std::uint8_t kRequirements[] = {kNone, kForward, kForward | kInputGrad, kForward};
  return kRequirements[static_cast<int>(kind)];
}

/// Checks the ranks one after another, so that the state of one fits a cache.
class OrderChecker {
 public:
  explicit OrderChecker(const Schedule& schedule)
      : schedule_(schedule),
        per_pipe_(static_cast<std::size_t>(schedule.microbatches_per_pipe())),
        stages_of_rank_(static_cast<std::size_t>(schedule.placement.ranks)) {
    for (Stage stage = 0; stage < schedule.placement.stages(); ++stage) {
      auto& stages = stages_of_rank_[static_cast<std::size_t>(rank_of(stage))];
      slots_.push_back({.rank = rank_of(stage),
                        .first_microbatch = static_cast<std::size_t>(first_microbatch(stage)),
                        .first_state = stages.size() * per_pipe_});
      stages.push_back(stage);
    }
  }

  std::optional<OrderFault> find_fault(Rank rank) {
    const auto& stages = stages_of_rank_[static_cast<std::size_t>(rank)];
    done_.assign(stages.size() * per_pipe_, kNone);
    const std::size_t first = schedule_.first_action[static_cast<std::size_t>(rank)];
    const auto order = schedule_.order(rank);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Action& action = order[i];
      const char* fault = apply(rank, action.op());
      if (action.is_pair() && fault == nullptr) {
        fault = pair_fault(action);
        if (fault == nullptr)
          fault = apply(rank, action.overlapped());
      }
      if (fault != nullptr)
        return OrderFault{rank, first + i, fault};
    }
    return find_missing(rank);
  }

 private:
  Rank rank_of(Stage stage) const { return schedule_.placement.rank(stage); }
  MicroBatch first_microbatch(Stage stage) const {
    return stage / schedule_.placement.depth * schedule_.microbatches_per_pipe();
  }

  /// What makes a pair no F&B pair, in words, or null.
  static const char* pair_fault(const Action& pair) {
    const Op& forward = pair.op();
    const Op& backward = pair.overlapped();
    if (forward.kind() != OpKind::Forward || backward.kind() != OpKind::Backward)
      return "a pair is an F and a B";
    if (forward.stage() == backward.stage() && forward.microbatch() == backward.microbatch())
      return "a pair is of two micro-batches";
    return nullptr;
  }

  /// Applies one op; the fault in words, or null.
  const char* apply(Rank rank, const Op& op) {
    if (op.stage() >= schedule_.placement.stages())
      return "there is no such stage";
    const StageSlot& slot = slots_[static_cast<std::size_t>(op.stage())];
    if (slot.rank != rank)
      return "the stage is on another rank";
    const auto microbatch = static_cast<std::size_t>(op.microbatch()) - slot.first_microbatch;
    if (microbatch >= per_pipe_)  // a negative one, too, is now a large number
      return "the stage's pipe has no such micro-batch";
    std::uint8_t& done = done_[slot.first_state + microbatch];
    if ((done & effect(op.kind())) != 0)
      return "was done before";
    if ((done & requirement(op.kind())) != requirement(op.kind()))
      return op.kind() == OpKind::BackwardWeight ? "comes before its I" : "comes before its F";
    done = static_cast<std::uint8_t>(done | effect(op.kind()));
    return nullptr;
  }

  std::optional<OrderFault> find_missing(Rank rank) const {
    for (std::size_t i = 0; i < done_.size(); ++i) {
      if (done_[i] == kAll)
        continue;
      const Stage stage = stages_of_rank_[static_cast<std::size_t>(rank)][i / per_pipe_];
      const auto microbatch = static_cast<MicroBatch>(i % per_pipe_) + first_microbatch(stage);
      const char* missing = (done_[i] & kForward) == 0     ? "its F"
                            : (done_[i] & kInputGrad) == 0 ? "its B, or I and W"
                                                           : "its W";
      return OrderFault{
          rank, std::nullopt,
          fmt::format("micro-batch {} on stage {} lacks {}", microbatch, stage, missing)};
    }
    return std::nullopt;
  }

  struct StageSlot {
    Rank rank;
    std::size_t first_microbatch;  // of the stage's pipe
    std::size_t first_state;       // where its micro-batches begin in done_
  };

  const Schedule& schedule_;
  std::size_t per_pipe_;                            // micro-batches that a stage sees
  std::vector<StageSlot> slots_;                    // [stage]
  std::vector<std::vector<Stage>> stages_of_rank_;  // [rank]
  std::vector<std::uint8_t> done_;                  // of the rank at hand
};

}  // namespace

std::optional<OrderFault> find_order_fault(const Schedule& schedule) {
  OrderChecker checker(schedule);
  std::optional<OrderFault> fault;
  for (Rank rank = 0; rank < schedule.placement.ranks && !fault; ++rank)
    fault = checker.find_fault(rank);
  return fault;
}

void check_orders(const Schedule& schedule) {
  const auto fault = find_order_fault(schedule);
  if (!fault)
    return;
  std::string place;
  if (fault->action)
    place =
        fmt::format("action {} ({}): ",
                    *fault->action - schedule.first_action[static_cast<std::size_t>(fault->rank)],
                    to_string(schedule.actions[*fault->action]));
  throw Error(
      fmt::format("schedule {}, rank {}: {}{}", schedule.name, fault->rank, place, fault->what));
}

}  // namespace bubblescope

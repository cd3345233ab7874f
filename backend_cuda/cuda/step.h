// One step of a plan, as operations on streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "backend_cuda/cuda/lane.h"
#include "backend_cuda/cuda/wire.h"
#include "backend_cuda/cuda/work.h"
#include "sim/schedule/outputs.h"

namespace bubblescope::gpu {

/// Every rank that is here has a lane for its actions. A message moves in a lane of its sender:
/// messages of one channel share it, those that start together have one each. Everything else about
/// a channel, and receiving, is nothing but moments that others wait for, so it takes no stream.
/// Where a wire leads to the other ranks, each of its channels is a lane, for sends and receives.
class Step {
 public:
  struct Parts {
    const Plan& plan;
    Work& work;
    Stamp* stamps;  ///< For kernels: [Step::stamps()], those of actions by instruction.
    const Layout& layout;
    std::span<const Partition> partitions;  ///< [rank], or none.
    std::optional<Injection> injection;
    Wire* wire = nullptr;  ///< To the ranks that are elsewhere; null where all are here.
  };

  /// Makes the lanes. What `parts` points to has to outlive the step.
  explicit Step(const Parts& parts);

  /// Where a step begins and ends: on the first rank's GPU.
  cudaStream_t root() const { return lanes_.front().stream(); }
  std::size_t lanes() const { return lanes_.size(); }
  /// The action that makes what a message carries.
  std::optional<InstructionId> maker(MessageId id) const;
  /// Which of the stamps is that of a message, or of its end that is here.
  std::size_t stamp_of_message(MessageId id) const { return stamp_of_message_[id]; }
  static std::size_t stamps(const Plan& plan) {
    return plan.instructions.size() + plan.messages.size();
  }

  /// Puts the whole step behind what is in `root`, and `root` behind it. Calls `on_deep` before a
  /// lane comes to have more than `depth` operations, if it comes to that.
  void enqueue(std::size_t depth = 0, std::function<void()> on_deep = {});
  /// Whether all that was enqueued has ended, also where not all of a step was.
  bool is_idle() const;

 private:
  using Marks = std::vector<Mark>;  ///< All of them.

  struct State {
    bool has_begun = false;
    bool has_end = false;  ///< Whether `end` is known.
    Marks start = {};
    Marks end = {};
  };

  std::uint32_t add_lane(int gpu, const Partition* partition = nullptr);
  void make_lanes();
  void make_lanes_of_messages();
  void find_stamps();
  void find_makers();
  void reserve_events();

  void restart();
  void enqueue_instruction(InstructionId id);
  void run(InstructionId id, const Marks& before);
  void post(InstructionId id);
  void move(MessageId id);
  void receive(MessageId id, Lane& lane);
  void hand_over(InstructionId id);
  void hand_over(std::span<const TransferEnd> transfers, const Marks& start);
  void receive_eagerly();
  void join();

  /// Before so many operations are put into a lane.
  void announce(const Lane& lane, std::size_t operations);

  Marks conditions_of(InstructionId id);
  const Marks& end_of(InstructionId id);

  bool is_action(InstructionId id) const {
    return plan_.instructions[id].kind == Instruction::Kind::Action;
  }
  bool is_here(InstructionId id) const { return parts_.layout.is_here(plan_.rank_of(id)); }
  Lane& lane_of(Rank rank) { return lanes_[lane_of_rank_[static_cast<std::size_t>(rank)]]; }
  void wait_for(Lane& lane, const Marks& marks);

  Parts parts_;
  const Plan& plan_;
  OutputNumbers outputs_;
  std::vector<Lane> lanes_;                          // the root, the ranks', then those of messages
  std::vector<std::uint32_t> lane_of_rank_;          // [rank] that is here
  std::vector<std::uint32_t> message_lane_;          // [message]
  std::vector<std::size_t> stamp_of_message_;        // [message]
  std::vector<std::optional<InstructionId>> maker_;  // [output]
  std::vector<bool> start_awaited_;                  // [instruction]
  std::vector<bool> end_awaited_;                    // [instruction]

  // Of the step that is being enqueued.
  std::vector<State> states_;  // [instruction]
  std::vector<Mark> arrived_;  // [message]
  std::size_t depth_ = 0;
  std::function<void()> on_deep_ = {};  // none once it was called
};

}  // namespace bubblescope::gpu

#include "sim/program/lowering.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/program/pairing.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

constexpr InstructionId kNone = ~InstructionId{0};

/// The messages of a schedule as transfers: an action's outputs are sent behind it, each to its
/// reader, and its inputs are received before it.
Transfers ideal_transfers(const Schedule& schedule) {
  Transfers transfers;
  const auto post = [&](const Action& action, bool is_send) {
    bool joins_batch = false;
    action.for_each_op([&](const Op& op) {
      const auto message =
          is_send ? message_from(schedule.placement, op) : message_to(schedule.placement, op);
      if (message)
        transfers.post({message->output, is_send ? message->to : message->from, is_send,
                        std::exchange(joins_batch, true)});
    });
  };
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    const auto order = schedule.order(rank);
    for (std::size_t i = 0; i <= order.size(); ++i) {
      if (i > 0)
        post(order[i - 1], true);
      if (i < order.size())
        post(order[i], false);
      transfers.end_slot();
    }
  }
  return transfers;
}

/// Writes the streams of all ranks into a program that has its posted schedule.
class StreamWriter {
 public:
  explicit StreamWriter(Program& program)
      : program_(program),
        schedule_(program.schedule()),
        transfers_(program.posted.transfers),
        number_(schedule_.placement, schedule_.microbatches) {
    program_.instructions.reserve(schedule_.actions.size() + transfers_.size());
    program_.instruction_of_transfer.resize(transfers_.size());
    find_inputs();
  }

  /// Each rank has one stream: batches and actions in turn.
  void write_in_line() {
    for (rank_ = 0; rank_ < schedule_.placement.ranks; ++rank_) {
      begin_rank();
      for (std::size_t action = first_action(); action <= end_action(); ++action) {
        const std::size_t slot = slot_before(rank_, action);
        for (std::size_t i = transfers_.first_of(slot); i < transfers_.first_of(slot + 1);) {
          const std::size_t end = transfers_.end_of_batch(i);
          std::fill(&program_.instruction_of_transfer[i],
                    &program_.instruction_of_transfer[i] + (end - i), next_id());
          append(Instruction::Kind::Transfers, i);
          i = end;
        }
        if (action < end_action())
          append(Instruction::Kind::Action, action);
      }
    }
    finish();
  }

  /// Each transfer goes on the stream of its channel. Where `receives_start_with_actions`, a
  /// receive is posted by the start of the action after it, else all are by the end of the one
  /// before.
  void write_channels(bool receives_start_with_actions) {
    receives_start_with_actions_ = receives_start_with_actions;
    receive_of_.assign(number_.size(), kNone);
    next_of_channel_.assign(2 * static_cast<std::size_t>(program_.ranks()), 0);
    for (rank_ = 0; rank_ < schedule_.placement.ranks; ++rank_) {
      begin_rank();
      first_id_ = next_id();
      for (std::size_t action = first_action(); action < end_action(); ++action)
        append(Instruction::Kind::Action, action);
      begin_channels();
      for (std::size_t action = first_action(); action <= end_action(); ++action) {
        // Only a channel of both ways is told apart by which are posted first.
        if (receives_start_with_actions && program_.channels != Channels::PerDirection) {
          post_slot(action, true, false);
          post_slot(action, false, true);
        } else {
          post_slot(action, true, true);
        }
      }
      for (const std::size_t channel : used_)
        next_of_channel_[channel] = 0;
      for (std::size_t action = first_action(); action < end_action(); ++action)
        wait_for_receives(action);
    }
    finish();
  }

 private:
  static constexpr std::size_t kNoInput = ~std::size_t{0};

  /// The input of an op of micro-batch 0: an output, which is made on the same rank or is not.
  struct Input {
    std::size_t output = kNoInput;
    bool is_own = false;
  };

  void find_inputs() {
    const Placement& placement = schedule_.placement;
    has_own_inputs_.resize(static_cast<std::size_t>(placement.ranks));
    for (Stage stage = 0; stage < placement.stages(); ++stage)
      for (std::uint32_t kind = 0; kind < kOpKinds; ++kind) {
        const Op op(static_cast<OpKind>(kind), stage, 0);
        Input& input = inputs_.emplace_back();
        const Rank rank = placement.rank(stage);
        if (const auto from = maker_of_input(placement, op)) {
          input = {number_[Op(op.kind(), *from, 0)], placement.rank(*from) == rank};
          if (input.is_own)
            has_own_inputs_[static_cast<std::size_t>(rank)] = true;
        }
      }
  }

  std::size_t first_action() const {
    return schedule_.first_action[static_cast<std::size_t>(rank_)];
  }
  std::size_t end_action() const {
    return schedule_.first_action[static_cast<std::size_t>(rank_) + 1];
  }
  InstructionId next_id() const { return static_cast<InstructionId>(program_.instructions.size()); }

  void begin_stream() { program_.first_of_stream.push_back(next_id()); }
  void begin_rank() {
    program_.first_stream.push_back(static_cast<StreamId>(program_.first_of_stream.size()));
    begin_stream();
  }
  void finish() {
    program_.first_stream.push_back(static_cast<StreamId>(program_.first_of_stream.size()));
    begin_stream();
    for (rank_ = 0; rank_ < schedule_.placement.ranks; ++rank_)
      wait_for_own_outputs();
  }

  void append(Instruction::Kind kind, std::size_t first) {
    program_.instructions.emplace_back(kind, next_id() == program_.first_of_stream.back(), first);
  }

  /// A number below 2 · ranks that the channels of one rank do not share, and that sorts them.
  std::size_t channel_of(const Transfer& transfer) const {
    const auto peer = static_cast<std::size_t>(transfer.peer);
    switch (program_.channels) {
      case Channels::PerRank:
        return 0;
      case Channels::PerPair:
        return peer;
      case Channels::PerDirection:
        break;
    }
    return 2 * peer + (transfer.is_send ? 1 : 0);
  }

  /// Makes a stream for each channel of the rank, as long as its transfers need.
  void begin_channels() {
    used_.clear();
    const std::size_t first = transfers_.first_of(slot_before(rank_, first_action()));
    const std::size_t end = transfers_.first_of(slot_before(rank_, end_action()) + 1);
    for (std::size_t i = first; i < end; ++i) {
      const std::size_t channel = channel_of(transfers_[i]);
      if (next_of_channel_[channel]++ == 0)
        used_.push_back(channel);
    }
    std::sort(used_.begin(), used_.end());
    for (const std::size_t channel : used_) {
      begin_stream();
      const InstructionId first_id = next_id();
      program_.instructions.resize(first_id + std::exchange(next_of_channel_[channel], first_id),
                                   Instruction(Instruction::Kind::Transfers, false, 0));
      program_.instructions[first_id].is_first_of_stream = true;
    }
  }

  void post_slot(std::size_t action, bool sends, bool receives) {
    const std::size_t slot = slot_before(rank_, action);
    for (std::size_t i = transfers_.first_of(slot); i < transfers_.first_of(slot + 1); ++i) {
      const Transfer& transfer = transfers_[i];
      if (!(transfer.is_send ? sends : receives))
        continue;
      const InstructionId id = next_of_channel_[channel_of(transfer)]++;
      program_.instruction_of_transfer[i] = id;
      program_.instructions[id].first = i & Instruction::kMost;
      program_.instructions[id].wait[0] = poster(action, transfer.is_send);
      if (!transfer.is_send)
        receive_of_[number_[transfer.output]] = id;
    }
  }

  /// The instruction that posts a transfer of the slot before `action`; nothing where the step
  /// does.
  Wait poster(std::size_t action, bool is_send) const {
    if (action == first_action())
      return {};
    const auto id = static_cast<InstructionId>(first_id_ + (action - first_action()));
    return receives_start_with_actions_ && !is_send && action < end_action()
               ? Wait(id, Wait::For::Start)
               : Wait(id - 1, Wait::For::End);
  }

  void wait_for_receives(std::size_t action) {
    Instruction& instruction = program_.instructions[first_id_ + (action - first_action())];
    std::size_t waits = 0;
    schedule_.actions[action].for_each_op([&](const Op& op) {
      const Input& input = inputs_[op.stage_and_kind()];
      if (input.output == kNoInput || input.is_own)
        return;
      if (const InstructionId receive =
              receive_of_[input.output + static_cast<std::size_t>(op.microbatch())];
          receive != kNone && receive >= first_id_)  // an unsound one may be on another rank
        instruction.wait[waits++] = Wait(receive, Wait::For::End);
    });
  }

  /// An action waits, in vain, for an input that its own rank makes after it.
  void wait_for_own_outputs() {
    if (!has_own_inputs_[static_cast<std::size_t>(rank_)])
      return;
    maker_.resize(number_.size(), kNone);
    const auto for_each_action = [&](auto&& visit) {
      for (InstructionId id = program_.first_of_rank(rank_); id < program_.end_of_actions(rank_);
           ++id)
        if (program_.is_action(id))
          program_.action(id).for_each_op([&](const Op& op) { visit(id, op); });
    };
    for_each_action([&](InstructionId id, const Op& op) {
      if (op.kind() != OpKind::BackwardWeight)
        maker_[number_[op]] = id;
    });
    for_each_action([&](InstructionId id, const Op& op) {
      const Input& input = inputs_[op.stage_and_kind()];
      if (!input.is_own)
        return;
      const InstructionId maker = maker_[input.output + static_cast<std::size_t>(op.microbatch())];
      if (maker != kNone && maker >= id)
        program_.instructions[id].wait[program_.waits_of(id).size()] = Wait(maker, Wait::For::End);
    });
  }

  Program& program_;
  const Schedule& schedule_;
  const Transfers& transfers_;
  OutputNumbers number_;
  std::vector<Input> inputs_ = {};         // [stage_and_kind]
  std::vector<bool> has_own_inputs_ = {};  // [rank]
  bool receives_start_with_actions_ = false;
  Rank rank_ = 0;                                    // that is written
  InstructionId first_id_ = 0;                       // of its first action
  std::vector<std::size_t> used_ = {};               // its channels
  std::vector<InstructionId> next_of_channel_ = {};  // [channel] of its; 0 where it has none
  std::vector<InstructionId> receive_of_ = {};  // [output] in a channel of the rank that needs it
  std::vector<InstructionId> maker_ = {};       // [output] on its rank
};

}  // namespace

Program lower(PostedProgram posted) {
  Program program;
  if (!posted.has_transfers())
    posted.transfers = ideal_transfers(posted.schedule);
  if (std::max(posted.schedule.actions.size(), posted.transfers.size()) > Instruction::kMost)
    throw Error(
        fmt::format("schedule {}: a program of {} actions and {} sends and receives cannot "
                    "be numbered",
                    posted.schedule.name, posted.schedule.actions.size(), posted.transfers.size()));
  program.is_eager = posted.comm == Comm::Ideal;
  program.channels = posted.comm == Comm::Batched ? Channels::PerRank : posted.channels;
  program.posted = std::move(posted);
  switch (program.posted.comm) {
    case Comm::Ideal:
    case Comm::Batched:
      StreamWriter(program).write_in_line();
      break;
    case Comm::Stream:
      StreamWriter(program).write_channels(true);
      break;
    case Comm::Torch:
      StreamWriter(program).write_channels(false);
      break;
  }
  pair_transfers(program);
  return program;
}

}  // namespace bubblescope

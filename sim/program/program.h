// Streams of instructions that the simulator and every executor run: nothing is left to interpret.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/flat_array.h"
#include "sim/program/posted_program.h"

namespace bubblescope {

using InstructionId = std::uint32_t;
using StreamId = std::uint32_t;
using TransferId = std::uint32_t;
using MessageId = std::uint32_t;

/// An instruction waits for the start or the end of another one of its rank.
struct Wait {
  enum class For : std::uint32_t { End, Start };
  static constexpr InstructionId kNothing = (InstructionId{1} << 31) - 1;

  constexpr Wait() = default;
  constexpr Wait(InstructionId for_instruction, For for_moment)
      : instruction(for_instruction & kNothing), moment(for_moment) {}

  InstructionId instruction : 31 = kNothing;
  For moment : 1 = For::End;

  friend bool operator==(const Wait&, const Wait&) = default;
};

/// An instruction begins when the one before it on its stream has ended and its waits are over.
struct Instruction {
  enum class Kind : std::uint32_t {
    Action,     ///< Lasts as long as its work.
    Transfers,  ///< Begins a batch of them, or one, and ends when all their messages have arrived.
  };
  static constexpr std::uint32_t kMost = (1U << 30) - 1;

  Instruction(Kind its_kind, bool begins_stream, std::size_t index)
      : kind(its_kind), is_first_of_stream(begins_stream), first(index & kMost) {}

  Kind kind : 1;
  bool is_first_of_stream : 1;
  std::uint32_t first : 30;       ///< The index in schedule.actions, or the batch's first transfer.
  std::array<Wait, 2> wait = {};  ///< Those that wait for something come first.
};

/// One end of a message.
struct TransferEnd {
  constexpr TransferEnd() = default;
  constexpr TransferEnd(MessageId of, bool sends) : message(of & Wait::kNothing), is_send(sends) {}

  MessageId message : 31 = 0;
  bool is_send : 1 = false;
};

/// A message moves when both its ends have begun. Where the program is eager, it moves when its
/// send has, which does not wait for it.
struct MessageEnds {
  TransferId send;
  TransferId receive;
};

/// Streams of instructions, rank after rank. The first stream of a rank has its actions, and all
/// transfers that they wait for in turn; its other streams are its channels. `lower` makes it;
/// whoever runs it only reads.
struct Program {
  /// The schedule, its transfers by TransferId, and how it was told to talk, for reports.
  PostedProgram posted = {};
  bool is_eager = false;  ///< Messages move as soon as they are made and occupy nothing.
  Channels channels = Channels::PerDirection;  ///< How transfers share communicators.
  FlatArray<Instruction> instructions = {};    ///< Stream after stream, each in its order.
  FlatArray<TransferEnd> transfers = {};       ///< [TransferId]
  FlatArray<InstructionId> instruction_of_transfer = {};
  FlatArray<MessageEnds> message_ends = {};         ///< [MessageId]
  std::vector<InstructionId> first_of_stream = {};  ///< [streams + 1]
  std::vector<StreamId> first_stream = {};          ///< [ranks + 1]

  const Schedule& schedule() const { return posted.schedule; }
  int ranks() const { return schedule().placement.ranks; }
  std::size_t streams() const { return first_of_stream.size() - 1; }

  /// Where a rank's actions begin and end, with what else is on their stream.
  InstructionId first_of_rank(Rank rank) const {
    return first_of_stream[first_stream[static_cast<std::size_t>(rank)]];
  }
  InstructionId end_of_actions(Rank rank) const {
    return first_of_stream[first_stream[static_cast<std::size_t>(rank)] + 1];
  }
  StreamId stream_of(InstructionId id) const;
  Rank rank_of(InstructionId id) const;

  bool is_action(InstructionId id) const {
    return instructions[id].kind == Instruction::Kind::Action;
  }
  const Action& action(const Instruction& instruction) const {
    assert(instruction.kind == Instruction::Kind::Action);
    return schedule().actions[instruction.first];
  }
  const Action& action(InstructionId id) const { return action(instructions[id]); }
  std::span<const Wait> waits_of(InstructionId id) const {
    const auto& wait = instructions[id].wait;
    return std::span(wait).first(wait[0].instruction == Wait::kNothing   ? 0
                                 : wait[1].instruction == Wait::kNothing ? 1
                                                                         : 2);
  }
  std::span<const TransferEnd> transfers_of(const Instruction& instruction) const {
    assert(instruction.kind == Instruction::Kind::Transfers);
    const TransferId first = instruction.first;
    return std::span(transfers).subspan(first, posted.transfers.end_of_batch(first) - first);
  }
  std::span<const TransferEnd> transfers_of(InstructionId id) const {
    return transfers_of(instructions[id]);
  }
  TransferId end_of_transfers(InstructionId id) const {
    return static_cast<TransferId>(posted.transfers.end_of_batch(instructions[id].first));
  }
  TransferId other_end(TransferId transfer) const {
    const MessageEnds& message = message_ends[transfers[transfer].message];
    return transfers[transfer].is_send ? message.receive : message.send;
  }
};

}  // namespace bubblescope

// What every executor runs: a program cut into streams of instructions, the same for threads, GPUs
// and clusters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/costs/cost_model.h"
#include "sim/program/program.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {

using InstructionId = std::uint32_t;
using MessageId = std::uint32_t;
using StreamId = std::uint32_t;

/// An instruction begins when the one before it on its stream has ended and all its waits are over.
struct Instruction {
  enum class Kind : std::uint8_t {
    Action,     ///< Lasts as long as its work.
    Transfers,  ///< Begins some transfers at once and ends when all their messages have arrived.
  };
  Kind kind;
  Rank rank;
  StreamId stream;
  std::uint32_t first;           ///< Index in schedule.actions, or in Plan::transfers.
  std::uint32_t end;             ///< Behind the last of the transfers; else first + 1.
  std::uint32_t first_wait = 0;  ///< In Plan::waits; they end where those of the next begin.
};

/// For the start or the end of another instruction of the same rank.
struct Wait {
  enum class For : std::uint8_t { Start, End };
  InstructionId instruction;
  For moment;
};

/// One end of a message, of which `is_send` tells which.
struct PlanTransfer {
  MessageId message;
  bool is_send;
};

/// A message moves when both its ends have begun. Where the plan is eager, it moves when its send
/// has, which does not wait for it.
struct PlanMessage {
  Op sent;      ///< The output that is sent: of an F, or a gradient, named by its `I`.
  Op expected;  ///< The one that the receiver takes it for; another only in an unsound program.
  Rank from;
  Rank to;
  InstructionId send;
  InstructionId receive;
  Time duration;
  Bytes bytes;
};

/// Flat arrays; executors only read. The program and the costs have to outlive it.
struct Plan {
  const Program* program = nullptr;
  const CostModel* costs = nullptr;
  /// Messages move as soon as they are made and occupy nothing: Comm::Ideal.
  bool is_eager = false;
  std::vector<Instruction> instructions = {};       ///< Stream after stream, each in its order.
  std::vector<Wait> waits = {};                     ///< By instruction.
  std::vector<PlanTransfer> transfers = {};         ///< By instruction.
  std::vector<PlanMessage> messages = {};           ///< [MessageId]
  std::vector<InstructionId> first_of_stream = {};  ///< [streams + 1]
  /// [ranks + 1] The first stream of a rank has its actions, and in a program of batches or without
  /// transfers those too; the others are its channels.
  std::vector<StreamId> first_stream = {};
  std::vector<InstructionId> instruction_of_action = {};  ///< [index in schedule.actions]
  /// An order of all instructions in which each comes after those it waits for and, where it
  /// follows a transfer, after both ends of its messages. Those that can never begin, since they
  /// wait for one another in a circle, are left out.
  std::vector<InstructionId> launch_order = {};
  /// [stage · m + micro-batch] where a rank keeps what a micro-batch's forward leaves for its
  /// backward: the lowest number, from 0, that is free along the rank's order.
  std::vector<std::uint32_t> activation_slot = {};
  std::vector<std::uint32_t> activation_slots = {};  ///< [rank] how many it takes.

  const Schedule& schedule() const { return program->schedule; }
  int ranks() const { return schedule().placement.ranks; }
  std::size_t streams() const { return first_of_stream.size() - 1; }
  bool can_run() const { return launch_order.size() == instructions.size(); }

  const Action& action(const Instruction& instruction) const {
    return schedule().actions[instruction.first];
  }
  Time duration(const Instruction& instruction) const {
    return costs->duration(action(instruction));
  }
  std::span<const Wait> waits_of(InstructionId id) const {
    const std::size_t end =
        id + 1 < instructions.size() ? instructions[id + 1].first_wait : waits.size();
    return std::span(waits).subspan(instructions[id].first_wait, end - instructions[id].first_wait);
  }
  std::span<const PlanTransfer> transfers_of(const Instruction& instruction) const {
    return std::span(transfers).subspan(instruction.first, instruction.end - instruction.first);
  }
  std::size_t activation_index(const Op& op) const {
    return static_cast<std::size_t>(op.stage()) *
               static_cast<std::size_t>(schedule().microbatches) +
           static_cast<std::size_t>(op.microbatch());
  }
  std::uint32_t slot_of(const Op& op) const { return activation_slot[activation_index(op)]; }
};

/// Lowers a program whose orders are sound. Its messages need not be: the k-th send from one rank
/// to another is paired with the k-th receive, as communication libraries do it, whatever they
/// carry; where messages are ideal, by what they carry. Throws Error where a send or a receive has
/// no other end.
Plan make_plan(const Program& program, const CostModel& costs);

}  // namespace bubblescope

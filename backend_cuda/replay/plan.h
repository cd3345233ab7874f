// A program made ready for executors: with its costs, the same for threads, GPUs and clusters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/costs/cost_model.h"
#include "sim/program/program.h"

namespace bubblescope {

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

/// Executors only read it. The costs have to outlive it.
struct Plan : Program {
  const CostModel* costs = nullptr;
  std::vector<PlanMessage> messages = {};                 ///< [MessageId]
  std::vector<InstructionId> instruction_of_action = {};  ///< [index in schedule.actions]
  /// An order of all instructions in which each comes after those it waits for and, where it
  /// follows a transfer, after both ends of its messages. Those that can never begin, since they
  /// wait for one another in a circle, are left out.
  std::vector<InstructionId> launch_order = {};
  /// [stage · m + micro-batch] where a rank keeps what a micro-batch's forward leaves for its
  /// backward: the lowest number, from 0, that is free along the rank's order.
  std::vector<std::uint32_t> activation_slot = {};
  std::vector<std::uint32_t> activation_slots = {};  ///< [rank] how many it takes.

  bool can_run() const { return launch_order.size() == instructions.size(); }

  Time duration(const Instruction& instruction) const {
    return costs->duration(action(instruction));
  }
  std::size_t activation_index(const Op& op) const {
    return static_cast<std::size_t>(op.stage()) *
               static_cast<std::size_t>(schedule().microbatches) +
           static_cast<std::size_t>(op.microbatch());
  }
  std::uint32_t slot_of(const Op& op) const { return activation_slot[activation_index(op)]; }
};

/// Lowers a program and adds what executors need. Throws Error where `lower` does, and where
/// messages share links.
Plan make_plan(PostedProgram program, const CostModel& costs);

}  // namespace bubblescope

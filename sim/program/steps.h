// A rank's program as a list of steps, the way files have it and messages count it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "sim/program/posted_program.h"

namespace bubblescope {

/// An action, a batch of transfers or a single one, or a collective.
struct Step {
  enum class Kind : std::uint8_t { Action, Transfers, Collective };
  Kind kind;
  std::size_t first;  ///< Index in schedule.actions, transfers or collectives.
  std::size_t end;    ///< Behind the last of a batch; else first + 1.
};

/// Calls `visit(step)` for the steps of `rank` in order.
template <typename Visitor>
void for_each_step(const PostedProgram& program, Rank rank, Visitor&& visit) {
  const auto r = static_cast<std::size_t>(rank);
  const Schedule& schedule = program.schedule;
  const Transfers& transfers = program.transfers;
  auto collective = std::partition_point(
      program.collectives.begin(), program.collectives.end(), [&](const Collective& each) {
        return each.slot < slot_before(rank, schedule.first_action[r]);
      });
  const auto visit_collectives = [&](std::size_t slot, std::size_t transfer) {
    for (; collective != program.collectives.end() && collective->slot == slot &&
           collective->transfer <= transfer;
         ++collective) {
      const auto index = static_cast<std::size_t>(collective - program.collectives.begin());
      visit(Step{Step::Kind::Collective, index, index + 1});
    }
  };
  for (std::size_t action = schedule.first_action[r]; action <= schedule.first_action[r + 1];
       ++action) {
    const std::size_t slot = slot_before(rank, action);
    if (program.has_transfers()) {
      for (std::size_t i = transfers.first_of(slot); i < transfers.first_of(slot + 1);) {
        visit_collectives(slot, i);
        const std::size_t end = transfers.end_of_batch(i);
        visit(Step{Step::Kind::Transfers, i, end});
        i = end;
      }
      visit_collectives(slot, transfers.first_of(slot + 1));
    }
    if (action < schedule.first_action[r + 1])
      visit(Step{Step::Kind::Action, action, action + 1});
  }
}

/// Which step of `rank` is the action of this index in schedule.actions, or has this transfer;
/// steps count from 0.
std::size_t step_of_action(const PostedProgram& program, Rank rank, std::size_t action);
std::size_t step_of_transfer(const PostedProgram& program, Rank rank, std::size_t transfer);
/// A step in PyTorch's words, those of a batch with blanks between: "1RECV_F0 1SEND_B0".
std::string step_words(const PostedProgram& program, Rank rank, std::size_t step);

}  // namespace bubblescope

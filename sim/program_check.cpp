#include "sim/program_check.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/error.h"
#include "sim/order_check.h"
#include "sim/outputs.h"

namespace bubblescope {
namespace {

/// Walks the slots of all ranks in order and remembers which messages have been posted.
class TransferChecker {
 public:
  explicit TransferChecker(const Program& program)
      : program_(program),
        schedule_(program.schedule),
        number_(schedule_.placement, schedule_.microbatches),
        made_(number_.size()),
        sent_(number_.size()),
        received_(number_.size()) {}

  void check() {
    const std::size_t slots =
        schedule_.actions.size() + static_cast<std::size_t>(schedule_.placement.ranks);
    if (program_.transfers.slots() != slots)
      throw Error(fmt::format("schedule {}: transfers have {} slots, expected {}", schedule_.name,
                              program_.transfers.slots(), slots));
    for (Rank rank = 0; rank < schedule_.placement.ranks; ++rank)
      check(rank);
    for (const auto& [ranks, queue] : queues_)
      check_pairing(ranks, queue);
  }

 private:
  struct Queue {
    std::vector<Op> sends;
    std::vector<Op> receives;
  };

  void check(Rank rank) {
    const std::size_t end = schedule_.first_action[static_cast<std::size_t>(rank) + 1];
    rank_ = rank;
    for (action_ = schedule_.first_action[static_cast<std::size_t>(rank)]; action_ < end;
         ++action_) {
      check_slot();
      schedule_.actions[action_].for_each_op([&](const Op& op) {
        const auto needed = message_to(schedule_.placement, op);
        if (needed && !received_[number_[needed->output]])
          fail("it is needed and not received", needed->output);
        if (const auto output = message_from(schedule_.placement, op))
          made_[number_[output->output]] = true;
      });
    }
    check_slot();
    for (const Action& action : schedule_.order(rank))
      action.for_each_op([&](const Op& op) {
        const auto output = message_from(schedule_.placement, op);
        if (output && !sent_[number_[output->output]])
          fail("it is never sent", output->output);
      });
  }

  void check_slot() {
    for (const Transfer& transfer : program_.transfers.slot(slot_before(rank_, action_))) {
      const auto message = message_from(schedule_.placement, transfer.output);
      const bool here = message && (transfer.is_send ? message->from : message->to) == rank_;
      if (!here || (transfer.is_send ? message->to : message->from) != transfer.peer)
        fail("no such transfer is due here", transfer.output);
      const std::size_t output = number_[transfer.output];
      if (transfer.is_send && !made_[output])
        fail("it is sent before it is made", transfer.output);
      std::vector<bool>& done = transfer.is_send ? sent_ : received_;
      if (done[output])
        fail(transfer.is_send ? "it is sent twice" : "it is received twice", transfer.output);
      done[output] = true;
      Queue& queue = queues_[{message->from, message->to}];
      (transfer.is_send ? queue.sends : queue.receives).push_back(transfer.output);
    }
  }

  void check_pairing(std::pair<Rank, Rank> ranks, const Queue& queue) const {
    const std::size_t size = std::min(queue.sends.size(), queue.receives.size());
    for (std::size_t k = 0; k < size; ++k)
      if (!(queue.sends[k] == queue.receives[k]))
        throw Error(fmt::format(
            "schedule {}: from rank {} to rank {}, send {} is of the output of {}, and receive {} "
            "expects that of {}",
            schedule_.name, ranks.first, ranks.second, k, to_string(queue.sends[k]), k,
            to_string(queue.receives[k])));
  }

  [[noreturn]] void fail(const char* what, const Op& output) const {
    const bool at_end = action_ == schedule_.first_action[static_cast<std::size_t>(rank_) + 1];
    throw Error(
        fmt::format("schedule {}, rank {}, {}: the output of {}: {}", schedule_.name, rank_,
                    at_end ? "at the end" : "before " + to_string(schedule_.actions[action_]),
                    to_string(output), what));
  }

  const Program& program_;
  const Schedule& schedule_;
  OutputNumbers number_;
  Rank rank_ = 0;  // the slot at hand
  std::size_t action_ = 0;
  std::vector<bool> made_;                              // [output]
  std::vector<bool> sent_;                              // [output]
  std::vector<bool> received_;                          // [output]
  std::map<std::pair<Rank, Rank>, Queue> queues_ = {};  // by sender and receiver
};

}  // namespace

void check_program(const Program& program) {
  check_orders(program.schedule);
  if (program.comm != Comm::Ideal)
    TransferChecker(program).check();
}

}  // namespace bubblescope

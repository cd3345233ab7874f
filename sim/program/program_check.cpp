#include "sim/program/program_check.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/program/steps.h"
#include "sim/schedule/order_check.h"
#include "sim/schedule/outputs.h"
#include "sim/schedule/words.h"

namespace bubblescope {
namespace {

using Fault = std::optional<ProgramFault>;

/// Walks the slots of all ranks in order and remembers which messages have been posted.
class TransferChecker {
 public:
  explicit TransferChecker(const PostedProgram& program)
      : program_(program),
        schedule_(program.schedule),
        transfers_(program.transfers),
        number_(schedule_.placement, schedule_.microbatches),
        done_(number_.size()) {}

  Fault find() {
    for (Rank rank = 0; rank < schedule_.placement.ranks; ++rank)
      if (auto fault = find_on(rank))
        return fault;
    return find_crossed();
  }

 private:
  /// The state of a message is a set of these bits.
  enum : std::uint8_t { kMade = 1, kSent = 2, kReceived = 4 };

  /// The transfers from one rank to another, in the order of each end.
  struct Queue {
    std::vector<std::uint32_t> sends;
    std::vector<std::uint32_t> receives;
  };

  Fault find_on(Rank rank) {
    const auto r = static_cast<std::size_t>(rank);
    const std::size_t end = schedule_.first_action[r + 1];
    for (std::size_t action = schedule_.first_action[r]; action <= end; ++action) {
      if (auto fault = find_in_slot(rank, slot_before(rank, action)))
        return fault;
      if (action < end)
        if (auto fault = run(rank, action))
          return fault;
    }
    return find_unsent(rank);
  }

  Fault find_in_slot(Rank rank, std::size_t slot) {
    for (std::size_t i = transfers_.first_of(slot); i < transfers_.first_of(slot + 1); ++i)
      if (const char* what = post(rank, i))
        return ProgramFault{ProgramFault::Kind::Message, rank, step_of_transfer(program_, rank, i),
                            what};
    return std::nullopt;
  }

  /// Posts a transfer; the fault in words, or null.
  const char* post(Rank rank, std::size_t index) {
    const Transfer& transfer = transfers_[index];
    const Op& output = transfer.output;
    if (output.microbatch() / schedule_.microbatches_per_pipe() !=
        output.stage() / schedule_.placement.depth)
      return "the stage's pipe has no such micro-batch";
    const auto message = message_from(schedule_.placement, transfer.output);
    if (!message)
      return "no other rank reads that output";
    if ((transfer.is_send ? message->from : message->to) != rank)
      return transfer.is_send ? "another rank makes that output" : "another rank reads that output";
    if ((transfer.is_send ? message->to : message->from) != transfer.peer)
      return "the other end is on another rank";
    std::uint8_t& done = done_[number_[transfer.output]];
    if (transfer.is_send && (done & kMade) == 0)
      return "it is sent before it is made";
    const std::uint8_t now = transfer.is_send ? kSent : kReceived;
    if ((done & now) != 0)
      return transfer.is_send ? "it is sent twice" : "it is received twice";
    done = static_cast<std::uint8_t>(done | now);
    Queue& queue = queues_[{message->from, message->to}];
    (transfer.is_send ? queue.sends : queue.receives).push_back(static_cast<std::uint32_t>(index));
    return nullptr;
  }

  Fault run(Rank rank, std::size_t action) {
    Fault fault;
    schedule_.actions[action].for_each_op([&](const Op& op) {
      const auto needed = message_to(schedule_.placement, op);
      if (needed && (done_[number_[needed->output]] & kReceived) == 0 && !fault)
        fault = {ProgramFault::Kind::Message, rank, step_of_action(program_, rank, action),
                 fmt::format("the output of {} that it needs is not received before it",
                             to_string(needed->output))};
      if (const auto output = message_from(schedule_.placement, op)) {
        std::uint8_t& done = done_[number_[output->output]];
        done = static_cast<std::uint8_t>(done | kMade);
      }
    });
    return fault;
  }

  Fault find_unsent(Rank rank) const {
    Fault fault;
    for (const Action& action : schedule_.order(rank))
      action.for_each_op([&](const Op& op) {
        const auto output = message_from(schedule_.placement, op);
        if (output && (done_[number_[output->output]] & kSent) == 0 && !fault)
          fault = {ProgramFault::Kind::Message, rank, std::nullopt,
                   fmt::format("the output of {} is never sent to rank {}",
                               to_string(output->output), output->to)};
      });
    return fault;
  }

  Fault find_crossed() const {
    for (const auto& [ranks, queue] : queues_)
      for (std::size_t k = 0; k < queue.sends.size(); ++k) {
        const Transfer& send = transfers_[queue.sends[k]];
        const Transfer& receive = transfers_[queue.receives[k]];
        if (send.output == receive.output)
          continue;
        const auto [from, to] = ranks;
        return ProgramFault{
            ProgramFault::Kind::Crossed, to, step_of_transfer(program_, to, queue.receives[k]),
            fmt::format("it would get what {} sends (rank {}, step {}): messages have no tags, and "
                        "both are number {} from rank {} to rank {}",
                        to_string(send, schedule_.placement), from,
                        step_of_transfer(program_, from, queue.sends[k]), k, from, to)};
      }
    return std::nullopt;
  }

  const PostedProgram& program_;
  const Schedule& schedule_;
  const Transfers& transfers_;
  OutputNumbers number_;
  std::vector<std::uint8_t> done_;                      // [output]
  std::map<std::pair<Rank, Rank>, Queue> queues_ = {};  // by sender and receiver
};

}  // namespace

Fault find_fault(const PostedProgram& program) {
  if (const auto fault = find_order_fault(program.schedule)) {
    ProgramFault found{ProgramFault::Kind::Order, fault->rank, std::nullopt, fault->what};
    if (fault->action)
      found.step = step_of_action(program, fault->rank, *fault->action);
    return found;
  }
  return program.has_transfers() ? TransferChecker(program).find() : std::nullopt;
}

void check_program(const PostedProgram& program) {
  const auto fault = find_fault(program);
  if (!fault)
    return;
  std::string place;
  if (fault->step)
    place =
        fmt::format("step {} ({}): ", *fault->step, step_words(program, fault->rank, *fault->step));
  throw Error(fmt::format("schedule {}, rank {}: {}{}", program.schedule.name, fault->rank, place,
                          fault->what));
}

}  // namespace bubblescope

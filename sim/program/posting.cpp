#include "sim/program/posting.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/span.h"
#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"
#include "sim/program/program_check.h"
#include "sim/program/torch_posting.h"
#include "sim/schedule/order_check.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

/// A transfer and the slot that it goes to.
struct Placed {
  std::size_t slot;
  Transfer transfer;
};

Placed send(const Message& message, std::size_t slot) {
  return {slot, {message.output, message.to, true}};
}

Placed receive(const Message& message, std::size_t slot) {
  return {slot, {message.output, message.from, false}};
}

/// The transfers slot by slot; those of one slot stay in the order given, and are one batch where
/// `comm` is Batched.
template <typename Iterator>
Transfers by_slot(Iterator begin, Iterator end, const Schedule& schedule, Comm comm) {
  const std::size_t slots =
      schedule.actions.size() + static_cast<std::size_t>(schedule.placement.ranks);
  FlatArray<std::size_t> next(slots, std::size_t{0});  // [slot] where its next transfer goes
  std::for_each(begin, end, [&](const Placed& each) { ++next[each.slot]; });
  std::exclusive_scan(next.begin(), next.end(), next.begin(), std::size_t{0});
  FlatArray<Transfer> sorted(static_cast<std::size_t>(end - begin));
  std::for_each(begin, end, [&](const Placed& each) { sorted[next[each.slot]++] = each.transfer; });
  if (comm == Comm::Batched)
    for (std::size_t slot = 0, first = 0; slot < slots; first = next[slot++])
      for (std::size_t i = first + 1; i < next[slot]; ++i)
        sorted[i].joins_batch = true;
  return {std::move(sorted), next};
}

/// [output] the slot of the rank that needs it, before the action that does.
std::vector<std::size_t> consumer_slots(const Schedule& schedule) {
  const Placement& placement = schedule.placement;
  const OutputNumbers number(placement, schedule.microbatches);
  std::vector<std::size_t> slots(number.size());
  for (Rank rank = 0; rank < placement.ranks; ++rank) {
    const std::size_t first = schedule.first_action[static_cast<std::size_t>(rank)];
    const auto order = schedule.order(rank);
    for (std::size_t i = 0; i < order.size(); ++i)
      order[i].for_each_op([&](const Op& op) {
        if (const auto message = message_to(placement, op))
          slots[number[message->output]] = slot_before(rank, first + i);
      });
  }
  return slots;
}

Transfers stream_transfers(const Schedule& schedule) {
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  const Placement& placement = schedule.placement;
  const OutputNumbers number(placement, schedule.microbatches);
  const std::vector<std::size_t> consumer = consumer_slots(schedule);
  FlatArray<Placed> placed;
  placed.reserve(2 * number.size());
  std::vector<std::size_t> later(static_cast<std::size_t>(placement.ranks), kNone);
  std::vector<std::pair<Message, std::size_t>> made;  // by one rank, with the slot after
  for (Rank rank = 0; rank < placement.ranks; ++rank) {
    made.clear();
    const std::size_t first = schedule.first_action[static_cast<std::size_t>(rank)];
    const auto order = schedule.order(rank);
    for (std::size_t i = 0; i < order.size(); ++i)
      order[i].for_each_op([&](const Op& op) {
        if (const auto message = message_from(placement, op))
          made.emplace_back(*message, slot_before(rank, first + i + 1));
      });
    // From the last on: no receive is posted later than one that comes after it.
    for (auto each = made.rbegin(); each != made.rend(); ++each) {
      const auto& [message, slot] = *each;
      const auto to = static_cast<std::size_t>(message.to);
      const std::size_t own = consumer[number[message.output]];
      const std::size_t least = slot_before(message.to, schedule.first_action[to]);
      later[to] = std::min(later[to], own > least ? own - 1 : own);
      placed.push_back(receive(message, later[to]));
      placed.push_back(send(message, slot));
    }
    for (const auto& [message, slot] : made)
      later[static_cast<std::size_t>(message.to)] = kNone;
  }
  return by_slot(placed.rbegin(), placed.rend(), schedule, Comm::Stream);
}

/// Runs a schedule in unit time, F = I = W = 1, with messages that take none.
class UnitTimeRun {
 public:
  explicit UnitTimeRun(const Schedule& schedule)
      : schedule_(schedule),
        number_(schedule.placement, schedule.microbatches),
        made_(number_.size(), kNotYet),
        next_(schedule.first_action.begin(), schedule.first_action.end() - 1),
        free_(next_.size()),
        times_(schedule.actions.size()) {}

  /// [action] when it runs. Throws Error where ranks wait for one another in a circle.
  std::vector<Span> times() && {
    // Up the ranks and down again, as forwards and backwards go.
    bool goes_on = true;
    for (bool is_up = true; std::exchange(goes_on, false) || !is_up; is_up = !is_up)
      for (std::size_t i = 0; i < next_.size(); ++i) {
        const std::size_t rank = is_up ? i : next_.size() - 1 - i;
        for (; next_[rank] < schedule_.first_action[rank + 1] && run(rank); ++next_[rank])
          goes_on = true;
      }
    for (std::size_t rank = 0; rank < next_.size(); ++rank)
      if (next_[rank] < schedule_.first_action[rank + 1])
        throw Error(fmt::format("schedule {}: {}", schedule_.name,
                                describe_deadlock(lower({.schedule = schedule_}))));
    return std::move(times_);
  }

 private:
  static constexpr Time kNotYet = Time::max();

  /// Runs the next action of a rank; false where what it needs is not made yet.
  bool run(std::size_t rank) {
    const Action& action = schedule_.actions[next_[rank]];
    Time start = free_[rank];
    Time end = Time::zero();
    action.for_each_op([&](const Op& op) {
      if (const auto from = maker_of_input(schedule_.placement, op))
        start = std::max(start, made_[number_[Op(op.kind(), *from, op.microbatch())]]);
      end += Time(op.kind() == OpKind::Backward ? 2 : 1);
    });
    if (start == kNotYet)
      return false;
    end += start;
    action.for_each_op([&](const Op& op) {
      if (op.kind() != OpKind::BackwardWeight)
        made_[number_[op]] = end;
    });
    times_[next_[rank]] = {start, end};
    free_[rank] = end;
    return true;
  }

  const Schedule& schedule_;
  OutputNumbers number_;
  std::vector<Time> made_;         // [output]
  std::vector<std::size_t> next_;  // [rank] its next action
  std::vector<Time> free_;         // [rank] when it has ended what it ran last
  std::vector<Span> times_;        // [action]
};

/// Finds for each message the moment at which its two ranks meet, in unit time.
class MeetingTimes {
 public:
  MeetingTimes(const Schedule& schedule, const std::vector<Span>& times)
      : schedule_(schedule), times_(times) {}

  /// Of a message made at `made` and needed by the action of slot `consumer`: of all moments
  /// between, the first at which the least time lies between the next actions that the two ranks
  /// start.
  Time meeting(const Message& message, Time made, std::size_t consumer) const {
    const Time needed = times_[consumer - static_cast<std::size_t>(message.to)].start;
    Time best = made;
    Time least = Time::max();
    for (Time time = made; time <= needed && least > Time::zero();) {
      const Time sender = next_start(message.from, time);
      const Time receiver = next_start(message.to, time);
      const Time apart = sender < receiver ? receiver - sender : sender - receiver;
      if (apart < least) {
        least = apart;
        best = time;
      }
      time = std::min(sender, receiver) + Time(1);
    }
    return best;
  }

  /// The slot of `rank` before its first action that starts at `time` or later.
  std::size_t slot_from(Rank rank, Time time) const {
    return slot_before(rank, static_cast<std::size_t>(first_from(rank, time) - times_.begin()));
  }

 private:
  using Place = std::vector<Span>::const_iterator;

  Place place(std::size_t action) const {
    return times_.begin() + static_cast<std::ptrdiff_t>(action);
  }
  Place first_from(Rank rank, Time time) const {
    const auto r = static_cast<std::size_t>(rank);
    return std::partition_point(place(schedule_.first_action[r]),
                                place(schedule_.first_action[r + 1]),
                                [=](const Span& span) { return span.start < time; });
  }
  /// When a rank starts its next action, or has come to its end.
  Time next_start(Rank rank, Time time) const {
    const Place next = first_from(rank, time);
    const bool at_end = next == place(schedule_.first_action[static_cast<std::size_t>(rank) + 1]);
    return at_end ? std::max(time, std::prev(next)->end) : next->start;
  }

  const Schedule& schedule_;
  const std::vector<Span>& times_;  // [action]
};

Transfers batched_transfers(const Schedule& schedule) {
  struct Meeting {
    Time time;
    Message message;
  };
  const std::vector<Span> times = UnitTimeRun(schedule).times();
  const OutputNumbers number(schedule.placement, schedule.microbatches);
  const std::vector<std::size_t> consumer = consumer_slots(schedule);
  const MeetingTimes meeting_times(schedule, times);
  std::vector<Meeting> meetings;
  for (std::size_t i = 0; i < schedule.actions.size(); ++i)
    schedule.actions[i].for_each_op([&](const Op& op) {
      if (const auto message = message_from(schedule.placement, op))
        meetings.push_back(
            {meeting_times.meeting(*message, times[i].end, consumer[number[message->output]]),
             *message});
    });
  std::stable_sort(meetings.begin(), meetings.end(),
                   [](const Meeting& a, const Meeting& b) { return a.time < b.time; });
  std::vector<Placed> placed;
  for (const auto& [time, message] : meetings) {
    placed.push_back(send(message, meeting_times.slot_from(message.from, time)));
    placed.push_back(receive(message, meeting_times.slot_from(message.to, time)));
  }
  return by_slot(placed.begin(), placed.end(), schedule, Comm::Batched);
}

}  // namespace

PostedProgram post_messages(Schedule schedule, Comm comm) {
  check_orders(schedule);
  PostedProgram program{.comm = comm};
  switch (comm) {
    case Comm::Ideal:
      break;
    case Comm::Stream:
      program.transfers = stream_transfers(schedule);
      break;
    case Comm::Batched:
      program.transfers = batched_transfers(schedule);
      break;
    case Comm::Torch: {
      TorchCommunication torch = torch_communication(schedule);
      program.transfers = std::move(torch.transfers);
      program.collectives = std::move(torch.collectives);
      break;
    }
  }
  program.schedule = std::move(schedule);
  return program;
}

PostedProgram post_messages(const CatalogueEntry& entry, Shape shape, Comm comm) {
  Schedule schedule = make_schedule(entry, shape);
  if (comm != Comm::Batched || entry.batches == nullptr)
    return post_messages(std::move(schedule), comm);
  shape.chunks = shape.chunks.value_or(entry.chunks);
  PostedProgram program{std::move(schedule), comm, entry.batches(shape)};
  check_program(program);
  return program;
}

}  // namespace bubblescope

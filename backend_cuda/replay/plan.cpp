#include "backend_cuda/replay/plan.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"

namespace bubblescope {
namespace {

/// Cuts the program into streams, rank by rank.
class Streams {
 public:
  explicit Streams(Plan& plan)
      : plan_(plan),
        program_(*plan.program),
        schedule_(program_.schedule),
        number_(schedule_.placement, schedule_.microbatches),
        receive_of_(has_channels(program_.comm) ? number_.size() : 0, kNone) {
    plan_.is_eager = program_.comm == Comm::Ideal;
    plan_.instruction_of_action.resize(schedule_.actions.size());
  }

  void cut() {
    for (rank_ = 0; rank_ < schedule_.placement.ranks; ++rank_) {
      plan_.first_stream.push_back(static_cast<StreamId>(plan_.first_of_stream.size()));
      begin_stream();
      const auto r = static_cast<std::size_t>(rank_);
      first_action_ = schedule_.first_action[r];
      end_action_ = schedule_.first_action[r + 1];
      if (has_channels(program_.comm)) {
        find_channels();
        add_actions_with_waits();
        add_channels();
      } else {
        add_actions_and_transfers();
      }
    }
    plan_.first_stream.push_back(static_cast<StreamId>(plan_.first_of_stream.size()));
    begin_stream();
    pair_ends();
  }

 private:
  static constexpr InstructionId kNone = ~InstructionId{0};

  /// One end of a message, before the two are paired: those of equal key meet in order.
  struct End {
    std::pair<std::size_t, std::size_t> key;
    Op output;
    Rank from;
    Rank to;
    InstructionId instruction;
    std::size_t transfer;  // in the plan
  };

  InstructionId next_id() const { return static_cast<InstructionId>(plan_.instructions.size()); }
  void begin_stream() { plan_.first_of_stream.push_back(next_id()); }

  void begin_instruction(Instruction::Kind kind, std::size_t first) {
    plan_.instructions.push_back({.kind = kind,
                                  .rank = rank_,
                                  .stream = static_cast<StreamId>(plan_.first_of_stream.size() - 1),
                                  .first = static_cast<std::uint32_t>(first),
                                  .end = static_cast<std::uint32_t>(first + 1),
                                  .first_wait = static_cast<std::uint32_t>(plan_.waits.size())});
  }

  void add_action(std::size_t action) {
    plan_.instruction_of_action[action] = next_id();
    begin_instruction(Instruction::Kind::Action, action);
  }

  void begin_transfers() {
    begin_instruction(Instruction::Kind::Transfers, plan_.transfers.size());
  }
  void add_transfer(const Transfer& transfer) {
    const Rank from = transfer.is_send ? rank_ : transfer.peer;
    const Rank to = transfer.is_send ? transfer.peer : rank_;
    const End end = {.key = plan_.is_eager ? std::pair(number_[transfer.output], std::size_t{0})
                                           : std::pair(std::size_t(from), std::size_t(to)),
                     .output = transfer.output,
                     .from = from,
                     .to = to,
                     .instruction = next_id() - 1,
                     .transfer = plan_.transfers.size()};
    (transfer.is_send ? sends_ : receives_).push_back(end);
    plan_.transfers.push_back({0, transfer.is_send});
    plan_.instructions.back().end = static_cast<std::uint32_t>(plan_.transfers.size());
  }

  /// One stream: what an action waits for, the action, what it hands on.
  void add_actions_and_transfers() {
    for (std::size_t action = first_action_; action <= end_action_; ++action) {
      if (!plan_.is_eager)
        add_batches(slot_before(rank_, action));
      if (action == end_action_)
        return;
      if (plan_.is_eager)
        add_ideal_messages(schedule_.actions[action], false);
      add_action(action);
      if (plan_.is_eager)
        add_ideal_messages(schedule_.actions[action], true);
    }
  }

  void add_batches(std::size_t slot) {
    const Transfers& transfers = program_.transfers;
    for (std::size_t i = transfers.first_of(slot); i < transfers.first_of(slot + 1);) {
      const std::size_t end = transfers.end_of_batch(i);
      begin_transfers();
      for (; i < end; ++i)
        add_transfer(transfers[i]);
    }
  }

  void add_ideal_messages(const Action& action, bool are_sends) {
    bool is_first = true;
    action.for_each_op([&](const Op& op) {
      const auto message =
          are_sends ? message_from(schedule_.placement, op) : message_to(schedule_.placement, op);
      if (!message)
        return;
      if (std::exchange(is_first, false))
        begin_transfers();
      add_transfer({message->output, are_sends ? message->to : message->from, are_sends});
    });
  }

  /// The peer, and the direction, as far as they tell channels apart.
  using ChannelKey = std::pair<Rank, bool>;
  ChannelKey channel_of(const Transfer& transfer) const {
    switch (program_.channels) {
      case Channels::PerRank:
        return {0, false};
      case Channels::PerPair:
        return {transfer.peer, false};
      case Channels::PerDirection:
        break;
    }
    return {transfer.peer, transfer.is_send};
  }

  /// Sorts the rank's transfers into channels, in the order in which they are posted, and tells
  /// which instructions they will be.
  void find_channels() {
    channels_.clear();
    for (std::size_t slot = slot_before(rank_, first_action_);
         slot <= slot_before(rank_, end_action_); ++slot) {
      const auto add = [&](bool sends, bool receives) {
        for (std::size_t i = program_.transfers.first_of(slot);
             i < program_.transfers.first_of(slot + 1); ++i) {
          const Transfer& transfer = program_.transfers[i];
          if (transfer.is_send ? sends : receives)
            channels_[channel_of(transfer)].push_back({i, slot - static_cast<std::size_t>(rank_)});
        }
      };
      if (program_.comm == Comm::Stream) {  // sends when an action ends, receives with the next
        add(true, false);
        add(false, true);
      } else {
        add(true, true);
      }
    }
    auto id = static_cast<InstructionId>(next_id() + (end_action_ - first_action_));
    for (const auto& [key, posted] : channels_)
      for (const Posted& each : posted) {
        const Transfer& transfer = program_.transfers[each.transfer];
        if (!transfer.is_send)
          receive_of_[number_[transfer.output]] = id;
        ++id;
      }
  }

  void add_actions_with_waits() {
    for (std::size_t action = first_action_; action < end_action_; ++action) {
      add_action(action);
      schedule_.actions[action].for_each_op([&](const Op& op) {
        const auto message = message_to(schedule_.placement, op);
        if (message && receive_of_[number_[message->output]] != kNone)
          plan_.waits.push_back({receive_of_[number_[message->output]], Wait::For::End});
      });
    }
  }

  void add_channels() {
    for (const auto& [key, posted] : channels_) {
      begin_stream();
      for (const Posted& each : posted) {
        const Transfer& transfer = program_.transfers[each.transfer];
        begin_transfers();
        add_transfer(transfer);
        if (each.action == first_action_)
          continue;
        const bool with_next = program_.comm == Comm::Stream && !transfer.is_send;
        if (with_next && each.action < end_action_)
          plan_.waits.push_back({plan_.instruction_of_action[each.action], Wait::For::Start});
        else
          plan_.waits.push_back({plan_.instruction_of_action[each.action - 1], Wait::For::End});
      }
    }
  }

  /// Makes a message of each send and its receive.
  void pair_ends() {
    const auto by_key = [](const End& a, const End& b) { return a.key < b.key; };
    std::stable_sort(sends_.begin(), sends_.end(), by_key);
    std::stable_sort(receives_.begin(), receives_.end(), by_key);
    for (std::size_t i = 0; i < std::max(sends_.size(), receives_.size()); ++i) {
      if (i == receives_.size() || (i < sends_.size() && by_key(sends_[i], receives_[i])))
        throw Error(
            fmt::format("schedule {}: rank {} sends the output of {} to rank {}, where "
                        "nothing receives it",
                        schedule_.name, sends_[i].from, to_string(sends_[i].output), sends_[i].to));
      if (i == sends_.size() || by_key(receives_[i], sends_[i]))
        throw Error(fmt::format(
            "schedule {}: rank {} receives the output of {} from rank {}, "
            "which does not send it",
            schedule_.name, receives_[i].to, to_string(receives_[i].output), receives_[i].from));
      add_message(sends_[i], receives_[i]);
    }
  }

  void add_message(const End& send, const End& receive) {
    const auto id = static_cast<MessageId>(plan_.messages.size());
    plan_.transfers[send.transfer].message = id;
    plan_.transfers[receive.transfer].message = id;
    plan_.messages.push_back({.sent = send.output,
                              .expected = receive.output,
                              .from = send.from,
                              .to = send.to,
                              .send = send.instruction,
                              .receive = receive.instruction,
                              .duration = plan_.costs->message_time(send.output),
                              .bytes = plan_.costs->message_bytes(send.output)});
  }

  /// A transfer, and the index of the action before which it is posted.
  struct Posted {
    std::size_t transfer;
    std::size_t action;
  };

  Plan& plan_;
  const Program& program_;
  const Schedule& schedule_;
  OutputNumbers number_;
  std::vector<InstructionId> receive_of_;  // [output] in a channel of the rank that needs it
  std::vector<End> sends_ = {};
  std::vector<End> receives_ = {};
  // Of the rank at hand:
  Rank rank_ = 0;
  std::size_t first_action_ = 0;
  std::size_t end_action_ = 0;
  std::map<ChannelKey, std::vector<Posted>> channels_ = {};
};

/// Gives each forward the lowest slot that is free on its rank; the op that ends its use gives it
/// back.
void assign_slots(Plan& plan) {
  const Schedule& schedule = plan.schedule();
  plan.activation_slot.resize(static_cast<std::size_t>(schedule.placement.stages()) *
                              static_cast<std::size_t>(schedule.microbatches));
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> free;
    std::uint32_t slots = 0;
    const auto follow = [&](const Op& op) {
      const int change = live_activation_change(op.kind());
      if (change < 0)
        free.push(plan.slot_of(op));
      if (change <= 0)
        return;
      if (free.empty())
        free.push(slots++);
      plan.activation_slot[plan.activation_index(op)] = free.top();
      free.pop();
    };
    for (const Action& action : schedule.order(rank))
      action.for_each_op(follow);
    plan.activation_slots.push_back(slots);
  }
}

/// Lets all streams go as far as they can, and notes the order in which instructions begin.
class LaunchOrder {
 public:
  explicit LaunchOrder(Plan& plan)
      : plan_(plan),
        next_(plan.first_of_stream.begin(), plan.first_of_stream.end() - 1),
        is_queued_(plan.streams(), true),
        has_begun_(plan.instructions.size()),
        unmoved_(plan.instructions.size()),
        waiting_(plan.instructions.size()),
        is_half_there_(plan.messages.size()) {
    for (StreamId stream = 0; stream < plan.streams(); ++stream)
      ready_.push_back(stream);
  }

  void find() {
    while (!ready_.empty()) {
      const StreamId stream = ready_.front();
      ready_.pop_front();
      is_queued_[stream] = false;
      advance(stream);
    }
  }

 private:
  bool has_ended(InstructionId id) const { return has_begun_[id] && unmoved_[id] == 0; }

  void advance(StreamId stream) {
    for (; next_[stream] < plan_.first_of_stream[stream + 1]; ++next_[stream]) {
      const InstructionId id = next_[stream];
      if (!has_begun_[id]) {
        for (const Wait& wait : plan_.waits_of(id))
          if (wait.moment == Wait::For::Start ? !has_begun_[wait.instruction]
                                              : !has_ended(wait.instruction)) {
            waiting_[wait.instruction].push_back(stream);
            return;
          }
        begin(id);
      }
      if (!has_ended(id))
        return;
    }
  }

  void begin(InstructionId id) {
    const Instruction& instruction = plan_.instructions[id];
    has_begun_[id] = true;
    plan_.launch_order.push_back(id);
    if (instruction.kind == Instruction::Kind::Transfers)
      for (const PlanTransfer& transfer : plan_.transfers_of(instruction))
        post(transfer, id);
    wake(id);
  }

  /// The end that comes second moves the message; an eager send is through at once.
  void post(const PlanTransfer& transfer, InstructionId id) {
    const bool is_second = is_half_there_[transfer.message];
    is_half_there_[transfer.message] = true;
    if (!is_second && !(plan_.is_eager && transfer.is_send))
      ++unmoved_[id];
    if (!is_second || (plan_.is_eager && !transfer.is_send))
      return;
    const PlanMessage& message = plan_.messages[transfer.message];
    const InstructionId other = transfer.is_send ? message.receive : message.send;
    if (--unmoved_[other] == 0) {
      wake(other);
      queue(plan_.instructions[other].stream);
    }
  }

  void wake(InstructionId id) {
    for (const StreamId stream : waiting_[id])
      queue(stream);
    waiting_[id].clear();
  }

  void queue(StreamId stream) {
    if (!is_queued_[stream])
      ready_.push_back(stream);
    is_queued_[stream] = true;
  }

  Plan& plan_;
  std::vector<InstructionId> next_;             // [stream]
  std::vector<bool> is_queued_;                 // [stream]
  std::vector<bool> has_begun_;                 // [instruction]
  std::vector<std::uint32_t> unmoved_;          // [instruction] messages that have not arrived
  std::vector<std::vector<StreamId>> waiting_;  // [instruction] streams that wait for it
  std::vector<bool> is_half_there_;             // [message] one of its ends has begun
  std::deque<StreamId> ready_ = {};
};

}  // namespace

Plan make_plan(const Program& program, const CostModel& costs) {
  if (costs.shares_links())
    throw Error(
        fmt::format("schedule {}: messages that divide shared links cannot be replayed: leave "
                    "shared_GBps, --nic and --nvlink out",
                    program.schedule.name));
  Plan plan{.program = &program, .costs = &costs};
  Streams(plan).cut();
  assign_slots(plan);
  LaunchOrder(plan).find();
  return plan;
}

}  // namespace bubblescope

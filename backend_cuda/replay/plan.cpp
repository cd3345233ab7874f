#include "backend_cuda/replay/plan.h"

#include <deque>
#include <functional>
#include <queue>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/program/lowering.h"

namespace bubblescope {
namespace {

/// The messages with what they carry and cost, and where each action stands.
void add_facts(Plan& plan) {
  const Transfers& posted = plan.posted.transfers;
  for (const MessageEnds& ends : plan.message_ends) {
    const Transfer& send = posted[ends.send];
    const Transfer& receive = posted[ends.receive];
    plan.messages.push_back({.sent = send.output,
                             .expected = receive.output,
                             .from = receive.peer,
                             .to = send.peer,
                             .send = plan.instruction_of_transfer[ends.send],
                             .receive = plan.instruction_of_transfer[ends.receive],
                             .duration = plan.costs->message_time(send.output),
                             .bytes = plan.costs->message_bytes(send.output)});
  }
  plan.instruction_of_action.resize(plan.schedule().actions.size());
  for (InstructionId id = 0; id < plan.instructions.size(); ++id)
    if (plan.is_action(id))
      plan.instruction_of_action[plan.instructions[id].first] = id;
}

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
      for (const TransferEnd& transfer : plan_.transfers_of(instruction))
        post(transfer, id);
    wake(id);
  }

  /// The end that comes second moves the message; an eager send is through at once.
  void post(const TransferEnd& transfer, InstructionId id) {
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
      queue(plan_.stream_of(other));
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

Plan make_plan(PostedProgram program, const CostModel& costs) {
  if (costs.shares_links())
    throw Error(
        fmt::format("schedule {}: messages that divide shared links cannot be replayed: leave "
                    "shared_GBps, --nic and --nvlink out",
                    program.schedule.name));
  Plan plan{{lower(std::move(program))}, &costs};
  add_facts(plan);
  assign_slots(plan);
  LaunchOrder(plan).find();
  return plan;
}

}  // namespace bubblescope

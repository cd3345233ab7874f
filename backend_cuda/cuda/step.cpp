#include "backend_cuda/cuda/step.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <utility>

#include "backend_cuda/cuda/spin_kernels.h"
#include "backend_cuda/cuda/tensor_kernels.h"

namespace bubblescope::gpu {
namespace {

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

Step::Step(const Parts& parts)
    : parts_(parts),
      plan_(parts.plan),
      outputs_(plan_.schedule().placement, plan_.schedule().microbatches),
      start_awaited_(plan_.instructions.size()),
      end_awaited_(plan_.instructions.size()) {
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id)
    for (const Wait& wait : plan_.waits_of(id))
      (wait.moment == Wait::For::Start ? start_awaited_ : end_awaited_)[wait.instruction] = true;
  make_lanes();
  find_stamps();
  find_makers();
  reserve_events();
}

std::uint32_t Step::add_lane(int gpu, const Partition* partition) {
  const auto id = static_cast<std::uint32_t>(lanes_.size());
  BUBBLESCOPE_CHECK(cudaSetDevice(gpu));
  if (partition != nullptr)
    lanes_.emplace_back(id, gpu, *partition);
  else
    lanes_.emplace_back(id, gpu);
  return id;
}

void Step::make_lanes() {
  const std::vector<int>& gpus = parts_.layout.gpu_of_rank;
  const auto first =
      std::find_if(gpus.begin(), gpus.end(), [](int gpu) { return gpu != kElsewhere; });
  add_lane(*first);
  lane_of_rank_.resize(gpus.size());
  for (std::size_t rank = 0; rank < gpus.size(); ++rank)
    if (gpus[rank] != kElsewhere)
      lane_of_rank_[rank] =
          add_lane(gpus[rank], parts_.partitions.empty() ? nullptr : &parts_.partitions[rank]);
  message_lane_.resize(plan_.messages.size());
  if (parts_.wire == nullptr)
    return make_lanes_of_messages();
  const auto first_channel = static_cast<std::uint32_t>(lanes_.size());
  for (std::size_t channel = 0; channel < parts_.wire->channels(); ++channel)
    lanes_.emplace_back(static_cast<std::uint32_t>(lanes_.size()), *first, make_urgent_stream());
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id)
    if (is_here(id) && !is_action(id))
      for (const TransferEnd& transfer : plan_.transfers_of(plan_.instructions[id]))
        message_lane_[transfer.message] =
            first_channel + static_cast<std::uint32_t>(parts_.wire->channel(transfer));
}

void Step::make_lanes_of_messages() {
  std::map<std::pair<StreamId, std::size_t>, std::uint32_t> lane_of_send;
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id) {
    if (is_action(id))
      continue;
    std::size_t sends = 0;
    for (const TransferEnd& transfer : plan_.transfers_of(id)) {
      if (!transfer.is_send)
        continue;
      const auto key = std::pair(plan_.stream_of(id), sends++);
      if (!lane_of_send.contains(key))
        lane_of_send[key] =
            add_lane(parts_.layout.gpu_of_rank[static_cast<std::size_t>(plan_.rank_of(id))]);
      message_lane_[transfer.message] = lane_of_send[key];
    }
  }
}

/// What a wire moves together has one stamp, that of its first message.
void Step::find_stamps() {
  for (MessageId id = 0; id < plan_.messages.size(); ++id)
    stamp_of_message_.push_back(plan_.instructions.size() + id);
  for (InstructionId id = 0; parts_.wire != nullptr && id < plan_.instructions.size(); ++id)
    if (is_here(id) && !is_action(id) && !plan_.is_eager)
      for (const TransferEnd& transfer : plan_.transfers_of(plan_.instructions[id]))
        stamp_of_message_[transfer.message] =
            plan_.instructions.size() + plan_.transfers[plan_.instructions[id].first].message;
}

void Step::find_makers() {
  maker_.resize(outputs_.size());
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id)
    if (is_action(id))
      plan_.action(plan_.instructions[id]).for_each_op([&](const Op& op) {
        if (op.kind() != OpKind::BackwardWeight)
          maker_[outputs_[op]] = id;
      });
}

/// As many as a step may record: one a lane to begin or to join, and what is awaited.
void Step::reserve_events() {
  std::vector<std::size_t> marks(lanes_.size(), 1);
  const auto lane_id = [&](Rank rank) { return lane_of(rank).id(); };
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id) {
    if (!is_action(id) || !is_here(id))
      continue;
    const bool is_followed_by_transfers = id + 1 < plan_.instructions.size() && !is_action(id + 1);
    marks[lane_id(plan_.rank_of(id))] +=
        (start_awaited_[id] ? 1U : 0U) + (end_awaited_[id] || is_followed_by_transfers ? 1U : 0U);
  }
  for (MessageId id = 0; id < plan_.messages.size(); ++id) {
    if (!parts_.layout.is_here(plan_.messages[id].from) &&
        !parts_.layout.is_here(plan_.messages[id].to))
      continue;
    ++marks[message_lane_[id]];
    if (plan_.is_eager && parts_.wire == nullptr)
      ++marks[lane_id(plan_.messages[id].to)];
  }
  for (Lane& lane : lanes_)
    lane.reserve(marks[lane.id()]);
}

void Step::enqueue(std::size_t depth, std::function<void()> on_deep) {
  depth_ = depth;
  on_deep_ = std::move(on_deep);
  restart();
  if (parts_.wire != nullptr && plan_.is_eager)
    receive_eagerly();
  for (const InstructionId id : plan_.launch_order)
    if (is_here(id))
      enqueue_instruction(id);
  join();
  if (parts_.wire == nullptr)
    return;
  Lane& root = lanes_.front();
  root.select();
  parts_.wire->enqueue_reduction(root.stream());
}

bool Step::is_idle() const {
  return std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return BUBBLESCOPE_IS_DONE(cudaStreamQuery(lane.stream()));
  });
}

void Step::announce(const Lane& lane, std::size_t operations) {
  if (on_deep_ && lane.depth() + operations > depth_)
    std::exchange(on_deep_, {})();
}

void Step::restart() {
  states_.assign(plan_.instructions.size(), {});
  arrived_.assign(plan_.messages.size(), {});
  for (Lane& lane : lanes_)
    lane.restart();
  Lane& root = lanes_.front();
  root.select();
  parts_.work.enqueue_reset(root.stream());
  const Mark begin = root.record();
  for (Lane& lane : lanes_)
    lane.wait(root, begin);
}

void Step::enqueue_instruction(InstructionId id) {
  Marks before = conditions_of(id);
  states_[id].has_begun = true;
  if (is_action(id)) {
    run(id, before);
  } else {
    states_[id].start = std::move(before);
    parts_.wire == nullptr ? post(id) : hand_over(id);
  }
}

/// What has to be over before an instruction begins, but for what its lane sees to.
Step::Marks Step::conditions_of(InstructionId id) {
  Marks marks;
  if (!plan_.instructions[id].is_first_of_stream && !(is_action(id - 1) && is_action(id)))
    append(marks, end_of(id - 1));
  for (const Wait& wait : plan_.waits_of(id))
    append(marks, wait.moment == Wait::For::Start ? states_[wait.instruction].start
                                                  : end_of(wait.instruction));
  return marks;
}

void Step::run(InstructionId id, const Marks& before) {
  const Instruction& instruction = plan_.instructions[id];
  Lane& lane = lane_of(plan_.rank_of(id));
  wait_for(lane, before);
  if (start_awaited_[id])
    states_[id].start = {lane.record()};
  const std::size_t operations = parts_.work.operations(instruction);
  announce(lane, operations);
  lane.select();
  Stamp* const stamp = parts_.stamps + id;
  if (!parts_.injection || parts_.injection->action != instruction.first)
    parts_.work.enqueue_action(instruction, stamp, lane.stream());
  else if (parts_.injection->kind == Injection::Kind::Hang)
    BUBBLESCOPE_CHECK(launch_hang(stamp, parts_.layout.stop, lane.stream()));
  else
    BUBBLESCOPE_CHECK(launch_fail(stamp, lane.stream()));
  lane.count(operations);
  if (end_awaited_[id])
    end_of(id);
}

/// Moves the messages whose other ends are there.
void Step::post(InstructionId id) {
  for (const TransferEnd& transfer : plan_.transfers_of(plan_.instructions[id])) {
    const PlanMessage& message = plan_.messages[transfer.message];
    const InstructionId other = transfer.is_send ? message.receive : message.send;
    if (plan_.is_eager ? transfer.is_send : states_[other].has_begun)
      move(transfer.message);
  }
}

void Step::move(MessageId id) {
  const PlanMessage& message = plan_.messages[id];
  Lane& lane = lanes_[message_lane_[id]];
  wait_for(lane, states_[message.send].start);
  if (!plan_.is_eager)
    wait_for(lane, states_[message.receive].start);
  const std::size_t operations = parts_.work.operations(id);
  announce(lane, operations);
  lane.select();
  parts_.work.enqueue_message(id, parts_.stamps + stamp_of_message(id), lane.stream());
  lane.count(operations);
  arrived_[id] = lane.record();
}

/// What this rank does for its messages: all together, but eager ones each for itself.
void Step::hand_over(InstructionId id) {
  const auto transfers = plan_.transfers_of(plan_.instructions[id]);
  if (!plan_.is_eager)
    return hand_over(transfers, states_[id].start);
  for (std::size_t i = 0; i < transfers.size(); ++i)
    if (transfers[i].is_send)
      hand_over(transfers.subspan(i, 1), states_[id].start);
}

void Step::hand_over(std::span<const TransferEnd> transfers, const Marks& start) {
  Lane& lane = lanes_[message_lane_[transfers.front().message]];
  wait_for(lane, start);
  const std::size_t operations = 2 + parts_.wire->operations(transfers);
  announce(lane, operations);
  lane.select();
  Stamp* const stamp = parts_.stamps + stamp_of_message(transfers.front().message);
  BUBBLESCOPE_CHECK(launch_stamp_start(stamp, lane.stream()));
  parts_.wire->enqueue(transfers, lane.stream());
  BUBBLESCOPE_CHECK(launch_stamp_end(stamp, 0, lane.stream()));
  lane.count(operations);
  const Mark there = lane.record();
  for (const TransferEnd& transfer : transfers)
    arrived_[transfer.message] = there;
}

/// Eager messages are awaited from the beginning, in the order in which their senders, whose
/// actions and sends are one stream, send them.
void Step::receive_eagerly() {
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id) {
    if (is_action(id))
      continue;
    for (const TransferEnd& sent : plan_.transfers_of(plan_.instructions[id])) {
      const TransferEnd received = {sent.message, false};
      if (sent.is_send && parts_.layout.is_here(plan_.messages[sent.message].to))
        hand_over({&received, 1}, {});
    }
  }
}

/// Where an action is last in its lane, or all ends of the messages are there.
const Step::Marks& Step::end_of(InstructionId id) {
  State& state = states_[id];
  assert(state.has_begun);
  if (std::exchange(state.has_end, true))
    return state.end;
  Lane& lane = lane_of(plan_.rank_of(id));
  if (is_action(id)) {
    state.end = {lane.record()};
  } else if (!plan_.is_eager || parts_.wire != nullptr) {
    for (const TransferEnd& transfer : plan_.transfers_of(id))
      if (!plan_.is_eager || !transfer.is_send)
        state.end.push_back(arrived_[transfer.message]);
  } else {
    state.end = state.start;
    for (const TransferEnd& transfer : plan_.transfers_of(id))
      if (!transfer.is_send)
        receive(transfer.message, lane);
  }
  return state.end;
}

/// The receiver of an eager message waits where it would run its next action, until the message's
/// duration has passed since what it carries was made.
void Step::receive(MessageId id, Lane& lane) {
  const PlanMessage& message = plan_.messages[id];
  const Layout& layout = parts_.layout;
  State& state = states_[message.receive];
  wait_for(lane, state.start);
  wait_for(lane, {arrived_[id]});
  const auto made = maker(id);
  if (made && message.duration > Time::zero()) {
    announce(lane, 1);
    lane.select();
    BUBBLESCOPE_CHECK(launch_timed_arrival({.sent = parts_.stamps + *made,
                                            .nanoseconds = layout.ticks_of(message.duration),
                                            .stop = layout.stop,
                                            .sender_ahead = layout.clock_ahead + message.from,
                                            .receiver_ahead = layout.clock_ahead + message.to},
                                           lane.stream()));
    lane.count();
  }
  state.end.push_back(lane.record());
}

void Step::join() {
  Lane& root = lanes_.front();
  announce(root, lanes_.size());
  for (Lane& lane : lanes_)
    if (lane.id() != root.id())
      root.wait(lane, lane.record());
}

std::optional<InstructionId> Step::maker(MessageId id) const {
  return maker_[outputs_[plan_.messages[id].sent]];
}

void Step::wait_for(Lane& lane, const Marks& marks) {
  for (const Mark& mark : marks)
    lane.wait(lanes_[mark.lane], mark);
}

}  // namespace bubblescope::gpu

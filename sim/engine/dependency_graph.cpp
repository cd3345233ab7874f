#include "sim/engine/dependency_graph.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/engine/boost_graph.h"
#include "sim/program/deadlock.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

constexpr std::size_t kNothing = std::numeric_limits<std::size_t>::max();

/// Runs the program of all ranks as far as each can go, again and again, and numbers the actions
/// and messages as they become possible. A rank that has to wait is woken by the output it waits
/// for; the rank woken last goes on first, while what it needs is still in a cache.
class Numbering {
 public:
  explicit Numbering(DependencyGraph::Parts& parts)
      : program_(parts.program),
        schedule_(parts.program.schedule),
        transfers_(parts.program.transfers),
        comm_(parts.program.comm),
        costs_(parts.costs),
        out_(parts),
        number_(schedule_.placement, schedule_.microbatches),
        ranks_(static_cast<std::size_t>(schedule_.placement.ranks)),
        node_of_output_(number_.size()) {
    for (Stage stage = 0; stage < schedule_.placement.stages(); ++stage)
      for (std::uint32_t kind = 0; kind < kOpKinds; ++kind)
        ports_.push_back(ports(Op(static_cast<OpKind>(kind), stage, 0)));
    if (comm_ != Comm::Ideal)
      ends_.resize(number_.size());
    follow_channels();
    reserve();
  }

  void run() {
    for (std::size_t r = ranks_.size(); r-- > 0;) {
      ranks_[r].next = schedule_.first_action[r];
      ready_.push_back(static_cast<Rank>(r));
    }
    while (!ready_.empty()) {
      const Rank rank = ready_.back();
      ready_.pop_back();
      run_rank(rank);
    }
    if (nodes_ < out_.rank.size())
      throw Error(fmt::format("schedule {}: {}", schedule_.name, describe_deadlock(program_)));
    out_.first_edge[nodes_] = edges_;
    out_.producer.resize(edges_);
    out_.lag.resize(edges_);
  }

 private:
  static constexpr std::uint32_t kNotYet = 0;  // a node is kept as its number + 1

  /// Where an op of a stage gets its input and leaves its output.
  struct Ports {
    std::size_t input = kNothing;   // the output of micro-batch 0 that this op reads, or nothing
    std::size_t output = kNothing;  // what it makes itself for micro-batch 0, or nothing
    Time lag = {};                  // that the input travels
    Rank reader = 0;                // the rank that needs the output
    bool input_is_local = false;    // made on the same rank
    bool output_is_local = false;   // needed on the same rank
  };

  struct RankState {
    std::size_t next = 0;               // index of its next action
    std::size_t blocked_on = kNothing;  // the output that this action, or its batch, lacks
    std::uint32_t last_node = kNotYet;  // the action before
    std::size_t next_transfer = 0;      // in or behind the slot before the next action
  };

  /// How far the two ends of a message have come.
  struct Ends {
    std::uint32_t producer = kNotYet;
    std::uint32_t sender = kNotYet;  // who posted the send
    std::uint32_t receiver = kNotYet;
    std::uint32_t send = kNoTransfer;  // once it is posted
    std::uint32_t receive = kNoTransfer;
  };

  /// Room for all nodes, and for as many edges as there can be.
  void reserve() {
    const std::size_t actions = schedule_.actions.size();
    const std::size_t messages = transfers_.size() / 2;
    std::size_t edges = 2 * actions;  // the action before and its op's input
    for (const Action& action : schedule_.actions)
      edges += action.is_pair() ? 1U : 0U;
    // A message waits for its sender, the two before it and what its receiver waits for, in a
    // stream up to three; in a batch two ranks wait for it, and what is in the batches after it.
    edges += (comm_ == Comm::Stream ? 6 : 4) * messages;
    for (std::size_t i = 0; comm_ == Comm::Batched && i < before_.size(); ++i)
      if (before_[i] != kNoTransfer)
        edges += transfers_.end_of_batch(before_[i]) - before_[i];
    if (edges > std::numeric_limits<EdgeId>::max())
      throw Error(fmt::format("schedule {}: a graph of {} edges cannot be numbered", schedule_.name,
                              edges));
    out_.first_edge.resize(actions + messages + 1);
    out_.producer.resize(edges);
    out_.lag.resize(edges);
    out_.duration.resize(actions + messages);
    out_.rank.resize(actions + messages);
    out_.action.resize(actions + messages);
    out_.messages.reserve(messages);
  }

  void follow_channels() {
    if (comm_ == Comm::Ideal)
      return;
    before_ = before_on_channel(program_);
    after_.assign(before_.size(), kNoTransfer);
    for (std::uint32_t i = 0; comm_ != Comm::Batched && i < before_.size(); ++i)
      if (before_[i] != kNoTransfer)
        after_[before_[i]] = i;
  }

  Ports ports(Op op) {
    const Placement& placement = schedule_.placement;
    Ports ports;
    const auto from = maker_of_input(placement, op);
    const auto to = reader_of_output(placement, op);
    const Rank rank = placement.rank(op.stage());
    if (from) {
      const Op producer(op.kind(), *from, 0);
      ports.input = number_[producer];
      ports.lag = comm_ == Comm::Ideal ? costs_.message_time(producer) : Time::zero();
      ports.input_is_local = placement.rank(*from) == rank;
    }
    if (to) {
      ports.output = number_[op];
      ports.reader = placement.rank(*to);
      ports.output_is_local = ports.reader == rank;
    }
    return ports;
  }

  void run_rank(Rank rank) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    const std::size_t end = schedule_.first_action[static_cast<std::size_t>(rank) + 1];
    for (; state.next < end; ++state.next) {
      const Action& action = schedule_.actions[state.next];
      if (comm_ != Comm::Ideal && !enter_slot(rank, state))
        return;
      const EdgeId first_edge = edges_;
      if (state.last_node != kNotYet)
        add_edge(state.last_node - 1, Time::zero());
      if (!take_input(action.op(), state) ||
          (action.is_pair() && !take_input(action.overlapped(), state))) {
        edges_ = first_edge;
        return;
      }
      if (comm_ == Comm::Batched)
        wait_for_batch(rank, state);
      state.last_node = add_node(first_edge, costs_.duration(action), rank, state.next) + 1;
      give_output(action.op());
      if (action.is_pair())
        give_output(action.overlapped());
      if (comm_ == Comm::Stream)
        post_receives(rank, state);
      state.next_transfer = 0;
    }
    if (comm_ != Comm::Ideal)
      enter_slot(rank, state);
  }

  NodeId add_node(EdgeId first_edge, Time duration, Rank rank, std::size_t action) {
    out_.first_edge[nodes_] = first_edge;
    out_.duration[nodes_] = duration;
    out_.rank[nodes_] = rank;
    out_.action[nodes_] = static_cast<std::uint32_t>(action);
    return nodes_++;
  }

  void add_edge(NodeId producer, Time lag) {
    out_.producer[edges_] = producer;
    out_.lag[edges_] = lag;
    ++edges_;
  }

  /// Adds the edge to what `op` needs; false if that is not there yet.
  bool take_input(const Op& op, RankState& state) {
    const Ports& ports = ports_[op.stage_and_kind()];
    if (ports.input == kNothing)
      return true;
    const std::size_t output = ports.input + static_cast<std::size_t>(op.microbatch());
    const std::uint32_t node = node_of_output_[output];
    if (node == kNotYet) {
      state.blocked_on = output;
      return false;
    }
    // The order of the rank says it already where the input is made there, or came with a batch.
    if (!ports.input_is_local && comm_ != Comm::Batched)
      add_edge(node - 1, ports.lag);
    return true;
  }

  /// Makes known that the newest node has the output of `op`, or has it ready to be sent.
  void give_output(const Op& op) {
    const Ports& ports = ports_[op.stage_and_kind()];
    if (ports.output == kNothing)
      return;
    const std::size_t output = ports.output + static_cast<std::size_t>(op.microbatch());
    if (comm_ != Comm::Ideal && !ports.output_is_local) {
      ends_[output].producer = nodes_;
      return;
    }
    node_of_output_[output] = nodes_;
    wake(ports.reader, output);
  }

  void wake(Rank rank, std::size_t output) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    if (state.blocked_on == output) {
      state.blocked_on = kNothing;
      // Its order runs on in the next cache line, and with a thousand ranks no hardware sees that.
      __builtin_prefetch(schedule_.actions.data() + state.next + 64 / sizeof(Action));
      ready_.push_back(rank);
    }
  }

  /// Posts what the slot before the next action has; false if the rank has to wait for a batch.
  /// In a stream, receives wait until the action starts, but for those of a rank's first slot.
  bool enter_slot(Rank rank, RankState& state) {
    const std::size_t slot = slot_before(rank, state.next);
    const std::size_t end = transfers_.first_of(slot + 1);
    const std::size_t first = transfers_.first_of(slot);
    std::size_t& next = state.next_transfer;
    next = std::max(next, first);
    if (comm_ != Comm::Batched) {
      for (; next < end; ++next)
        if (comm_ == Comm::Torch || transfers_[next].is_send || state.last_node == kNotYet)
          post(next, state.last_node);
      return true;
    }
    for (;;) {
      for (std::size_t i = first; i < next; ++i)
        if (!is_through(i)) {
          state.blocked_on = number_[transfers_[i].output];
          return false;
        }
      if (next == end)
        return true;
      for (const std::size_t batch_end = transfers_.end_of_batch(next); next < batch_end; ++next)
        post(next, state.last_node);
    }
  }

  /// In a stream a receive is posted when an action starts: it waits for what that one waited for.
  void post_receives(Rank rank, const RankState& state) {
    if (state.next == schedule_.first_action[static_cast<std::size_t>(rank)])
      return;
    const std::size_t slot = slot_before(rank, state.next);
    for (std::size_t i = transfers_.first_of(slot); i < transfers_.first_of(slot + 1); ++i)
      if (!transfers_[i].is_send)
        post(i, state.last_node);
  }

  void wait_for_batch(Rank rank, const RankState& state) {
    for (const Transfer& transfer : transfers_.slot(slot_before(rank, state.next)))
      add_edge(node_of_output_[number_[transfer.output]] - 1, Time::zero());
  }

  void post(std::size_t transfer, std::uint32_t node) {
    const bool is_send = transfers_[transfer].is_send;
    Ends& ends = ends_[number_[transfers_[transfer].output]];
    (is_send ? ends.send : ends.receive) = static_cast<std::uint32_t>(transfer);
    (is_send ? ends.sender : ends.receiver) = node;
    due_.push_back(static_cast<std::uint32_t>(transfer));
    while (!due_.empty()) {
      const std::uint32_t next = due_.back();
      due_.pop_back();
      start_if_possible(transfers_[next].output);
    }
  }

  /// Whether the message of a transfer is there; also where there is no such transfer.
  bool is_through(std::size_t transfer) const {
    return transfer == kNoTransfer ||
           node_of_output_[number_[transfers_[transfer].output]] != kNotYet;
  }

  /// A message becomes a node once both ends are posted and it is their turn on their channels.
  void start_if_possible(const Op& output) {
    const Ends& ends = ends_[number_[output]];
    if (ends.send == kNoTransfer || ends.receive == kNoTransfer ||
        !is_through(before_[ends.send]) || !is_through(before_[ends.receive]) ||
        is_through(ends.send))  // it has started
      return;
    add_message(output, ends);
    for (const std::uint32_t end : {ends.send, ends.receive})
      if (after_[end] != kNoTransfer)
        due_.push_back(after_[end]);
  }

  /// Adds edges to what comes before `transfer` on its channel; that message, where it is one.
  NodeId wait_for_turn(std::uint32_t transfer) {
    const std::uint32_t before = before_[transfer];
    if (before == kNoTransfer)
      return MessageNode::kNone;
    const std::size_t end = transfers_.end_of_batch(before);
    for (std::size_t i = before; i < end; ++i)
      add_edge(node_of_output_[number_[transfers_[i].output]] - 1, Time::zero());
    return comm_ == Comm::Batched ? MessageNode::kNone : out_.producer[edges_ - 1];
  }

  void add_message(const Op& output, const Ends& ends) {
    MessageNode message = {.output = output,
                           .from = schedule_.placement.rank(output.stage()),
                           .to = ports_[output.stage_and_kind()].reader,
                           .producer = ends.producer - 1,
                           .sender = ends.sender - 1,
                           .receiver = ends.receiver - 1};
    const EdgeId first_edge = edges_;
    add_edge(message.sender, Time::zero());
    message.before_at_sender = wait_for_turn(ends.send);
    message.before_at_receiver = wait_for_turn(ends.receive);
    if (message.before_at_sender == message.before_at_receiver &&
        message.before_at_sender != MessageNode::kNone)
      --edges_;  // once is enough
    if (comm_ != Comm::Stream && message.receiver != MessageNode::kNone)
      add_edge(message.receiver, Time::zero());
    if (comm_ == Comm::Stream && message.receiver != MessageNode::kNone) {
      for (EdgeId edge = out_.first_edge[message.receiver];
           edge < end_of_edges(message.receiver, first_edge); ++edge)
        add_edge(out_.producer[edge], out_.lag[edge]);
    }
    const NodeId node = add_node(first_edge, costs_.message_time(output), message.to,
                                 schedule_.actions.size() + out_.messages.size());
    out_.messages.push_back(message);
    const std::size_t number = number_[output];
    node_of_output_[number] = node + 1;
    wake(message.to, number);
    if (comm_ == Comm::Batched)
      wake(message.from, number);
  }

  /// Where the edges of `node` end, of which `edges` have been made in all.
  EdgeId end_of_edges(NodeId node, EdgeId edges) const {
    return node + 1 < nodes_ ? out_.first_edge[node + 1] : edges;
  }

  const Program& program_;
  const Schedule& schedule_;
  const Transfers& transfers_;
  Comm comm_;
  const CostModel& costs_;
  DependencyGraph::Parts& out_;
  OutputNumbers number_;
  std::vector<Ports> ports_ = {};              // [stage_and_kind]
  std::vector<RankState> ranks_;               // [rank]
  std::vector<Rank> ready_ = {};               // a stack of ranks that can go on
  std::vector<std::uint32_t> node_of_output_;  // [output] that is where its reader runs
  std::vector<Ends> ends_ = {};                // [output] of messages
  std::vector<std::uint32_t> before_ = {};     // [transfer] as `before_on_channel` tells
  std::vector<std::uint32_t> after_ = {};      // [transfer] the one that has it before, if any
  std::vector<std::uint32_t> due_ = {};  // a stack of transfers whose messages may be possible
  NodeId nodes_ = 0;
  EdgeId edges_ = 0;
};

}  // namespace

DependencyGraph::DependencyGraph(Parts parts)
    : program_(std::move(parts.program)),
      costs_(std::move(parts.costs)),
      boost_(std::make_unique<BoostGraph>()),
      lag_(std::move(parts.lag)),
      duration_(std::move(parts.duration)),
      rank_(std::move(parts.rank)),
      action_(std::move(parts.action)),
      messages_(std::move(parts.messages)) {
  // Boost's constructors would copy the edges through pairs; the rows are in its layout already.
  boost_->csr.m_forward.m_rowstart = std::move(parts.first_edge);
  boost_->csr.m_forward.m_column = std::move(parts.producer);
}

DependencyGraph::DependencyGraph(DependencyGraph&&) noexcept = default;
DependencyGraph& DependencyGraph::operator=(DependencyGraph&&) noexcept = default;
DependencyGraph::~DependencyGraph() = default;

std::span<const EdgeId> DependencyGraph::first_edge() const {
  return boost_->csr.m_forward.m_rowstart;
}

std::span<const NodeId> DependencyGraph::producer() const {
  return boost_->csr.m_forward.m_column;
}

DependencyGraph build_graph(Program program, CostModel costs) {
  const std::size_t actions = program.schedule.actions.size();
  if (!costs.can_add_up(actions))
    throw Error(
        fmt::format("schedule {}: the costs are too large: the times and sizes of {} actions "
                    "cannot be added up",
                    program.schedule.name, actions));
  DependencyGraph::Parts parts{.program = std::move(program), .costs = std::move(costs)};
  Numbering(parts).run();
  return DependencyGraph(std::move(parts));
}

}  // namespace bubblescope

#include "sim/dependency_graph.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "sim/boost_graph.h"
#include "sim/circular_wait.h"
#include "sim/error.h"

namespace bubblescope {
namespace {

constexpr std::size_t kNothing = std::numeric_limits<std::size_t>::max();

/// Runs the orders of all ranks as far as each can go, again and again, and numbers the actions as
/// they become possible. A rank that has to wait is woken by the output it waits for; the rank
/// woken last goes on first, while what it needs is still in a cache.
class Numbering {
 public:
  Numbering(const Schedule& schedule, const CostModel& costs, DependencyGraph::Parts& out)
      : schedule_(schedule),
        costs_(costs),
        out_(out),
        ranks_(static_cast<std::size_t>(schedule.placement.ranks)),
        microbatches_(static_cast<std::size_t>(schedule.microbatches)),
        node_of_output_(2 * static_cast<std::size_t>(schedule.placement.stages()) * microbatches_) {
    for (Stage stage = 0; stage < schedule.placement.stages(); ++stage)
      for (std::uint32_t kind = 0; kind < kOpKinds; ++kind)
        ports_.push_back(ports(Op(static_cast<OpKind>(kind), stage, 0)));
    const std::size_t nodes = schedule.actions.size();
    std::size_t pairs = 0;
    for (const Action& action : schedule.actions)
      pairs += action.is_pair() ? 1U : 0U;
    out_.first_edge.resize(nodes + 1);
    out_.producer.resize(2 * nodes + pairs);  // at most: the action before and each op's input
    out_.lag.resize(2 * nodes + pairs);
    out_.duration.resize(nodes);
    out_.rank.resize(nodes);
    out_.action.resize(nodes);
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
    if (nodes_ < schedule_.actions.size())
      throw Error(describe_circular_wait(schedule_, progress()));
    out_.first_edge[nodes_] = edges_;
    out_.producer.resize(edges_);
    out_.lag.resize(edges_);
  }

 private:
  static constexpr std::uint32_t kNotYet = 0;  // a node is kept as its number + 1

  /// Where an op of a stage gets its input and leaves its output. Outputs, activations of F and
  /// gradients of I or B, are numbered (stage, forward or backward, micro-batch).
  struct Ports {
    std::size_t input = kNothing;   // the output of micro-batch 0 that this op reads, or nothing
    std::size_t output = kNothing;  // what it makes itself for micro-batch 0, or nothing
    Time lag = {};                  // that the input travels
    Rank reader = 0;                // the rank that needs the output
    bool input_is_local = false;    // made on the same rank
  };

  struct RankState {
    std::size_t next = 0;               // index of its next action
    std::size_t blocked_on = kNothing;  // the output that this action lacks
    std::uint32_t last_node = kNotYet;  // the action before
  };

  std::size_t first_output(Stage stage, bool backward) const {
    return (2 * static_cast<std::size_t>(stage) + (backward ? 1 : 0)) * microbatches_;
  }

  Ports ports(Op op) const {
    if (op.kind() == OpKind::BackwardWeight)
      return {};
    const Placement& placement = schedule_.placement;
    const auto rank_of = [&](Stage stage) {
      return placement.rank_of_stage[static_cast<std::size_t>(stage)];
    };
    const bool backward = op.kind() != OpKind::Forward;
    const auto from = backward ? placement.after(op.stage()) : placement.before(op.stage());
    const auto to = backward ? placement.before(op.stage()) : placement.after(op.stage());
    Ports ports;
    if (from) {
      ports.input = first_output(*from, backward);
      ports.lag = costs_.message_time(Op(op.kind(), *from, 0));
      ports.input_is_local = rank_of(*from) == rank_of(op.stage());
    }
    if (to) {
      ports.output = first_output(op.stage(), backward);
      ports.reader = rank_of(*to);
    }
    return ports;
  }

  void run_rank(Rank rank) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    const std::size_t end = schedule_.first_action[static_cast<std::size_t>(rank) + 1];
    for (; state.next < end; ++state.next) {
      const Action& action = schedule_.actions[state.next];
      const EdgeId first_edge = edges_;
      if (state.last_node != kNotYet)
        add_edge(state.last_node - 1, Time::zero());
      if (!take_input(action.op(), state) ||
          (action.is_pair() && !take_input(action.overlapped(), state))) {
        edges_ = first_edge;
        return;
      }
      out_.first_edge[nodes_] = first_edge;
      out_.duration[nodes_] = costs_.duration(action);
      out_.rank[nodes_] = rank;
      out_.action[nodes_] = static_cast<std::uint32_t>(state.next);
      state.last_node = ++nodes_;
      give_output(action.op());
      if (action.is_pair())
        give_output(action.overlapped());
    }
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
    if (!ports.input_is_local)  // else the order of the rank says it already
      add_edge(node - 1, ports.lag);
    return true;
  }

  /// Makes known that the newest node has the output of `op`, and wakes the rank that waits for it.
  void give_output(const Op& op) {
    const Ports& ports = ports_[op.stage_and_kind()];
    if (ports.output == kNothing)
      return;
    const std::size_t output = ports.output + static_cast<std::size_t>(op.microbatch());
    node_of_output_[output] = nodes_;
    RankState& reader = ranks_[static_cast<std::size_t>(ports.reader)];
    if (reader.blocked_on == output) {
      reader.blocked_on = kNothing;
      // Its order runs on in the next cache line, and with a thousand ranks no hardware sees that.
      __builtin_prefetch(schedule_.actions.data() + reader.next + 64 / sizeof(Action));
      ready_.push_back(ports.reader);
    }
  }

  /// How far each rank has come.
  std::vector<std::size_t> progress() const {
    std::vector<std::size_t> next;
    for (const RankState& state : ranks_)
      next.push_back(state.next);
    return next;
  }

  const Schedule& schedule_;
  const CostModel& costs_;
  DependencyGraph::Parts& out_;
  std::vector<Ports> ports_;      // [stage_and_kind]
  std::vector<RankState> ranks_;  // [rank]
  std::vector<Rank> ready_;       // a stack of ranks that can go on
  std::size_t microbatches_;
  std::vector<std::uint32_t> node_of_output_;  // [output]
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
      action_(std::move(parts.action)) {
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
  Numbering(parts.program.schedule, parts.costs, parts).run();
  return DependencyGraph(std::move(parts));
}

}  // namespace bubblescope

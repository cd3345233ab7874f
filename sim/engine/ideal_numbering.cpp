// The graph of a schedule whose messages are ideal, straight from its orders: a large job has no
// other way to be as quick, and tests hold it equal to the way over a program.
#include <limits>
#include <vector>

#include "sim/engine/graph_parts.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

/// Runs the orders of all ranks as far as each can go, again and again, and numbers the actions as
/// they become possible. A rank that has to wait is woken by the output it waits for; the rank
/// woken last goes on first, while what it needs is still in a cache.
class IdealNumbering {
 public:
  explicit IdealNumbering(DependencyGraph::Parts& parts)
      : schedule_(parts.posted.schedule),
        costs_(parts.costs),
        number_(schedule_.placement, schedule_.microbatches),
        ranks_(static_cast<std::size_t>(schedule_.placement.ranks)),
        node_of_output_(number_.size()),
        out_(parts, schedule_, schedule_.actions.size(), most_edges(schedule_), true) {
    for (Stage stage = 0; stage < schedule_.placement.stages(); ++stage)
      for (std::uint32_t kind = 0; kind < kOpKinds; ++kind)
        ports_.push_back(ports(Op(static_cast<OpKind>(kind), stage, 0)));
  }

  bool run() {
    for (std::size_t r = ranks_.size(); r-- > 0;) {
      ranks_[r].next = schedule_.first_action[r];
      ready_.push_back(static_cast<Rank>(r));
    }
    while (!ready_.empty()) {
      const Rank rank = ready_.back();
      ready_.pop_back();
      run_rank(rank);
    }
    out_.finish();
    return out_.nodes() == schedule_.actions.size();
  }

 private:
  static constexpr std::uint32_t kNotYet = GraphWriter::kNotYet;
  static constexpr std::size_t kNoOutput = std::numeric_limits<std::size_t>::max();

  /// Where an op of a stage gets its input and leaves its output.
  struct Ports {
    std::size_t input = kNoOutput;   // the output of micro-batch 0 that this op reads, or nothing
    std::size_t output = kNoOutput;  // what it makes itself for micro-batch 0, or nothing
    Time lag = {};                   // that the input travels
    Rank reader = 0;                 // the rank that needs the output
    bool input_is_local = false;     // made on the same rank
  };

  struct RankState {
    std::size_t next = 0;                // index of its next action
    std::size_t blocked_on = kNoOutput;  // the output that this action lacks
    std::uint32_t last_node = kNotYet;   // the action before
  };

  /// The action before, and the input of each op.
  static std::size_t most_edges(const Schedule& schedule) {
    std::size_t edges = 2 * schedule.actions.size();
    for (const Action& action : schedule.actions)
      edges += action.is_pair() ? 1U : 0U;
    return edges;
  }

  Ports ports(Op op) const {
    const Placement& placement = schedule_.placement;
    Ports ports;
    if (const auto from = maker_of_input(placement, op)) {
      const Op producer(op.kind(), *from, 0);
      ports.input = number_[producer];
      ports.lag = costs_.message_time(producer);
      ports.input_is_local = placement.rank(*from) == placement.rank(op.stage());
    }
    if (const auto to = reader_of_output(placement, op)) {
      ports.output = number_[op];
      ports.reader = placement.rank(*to);
    }
    return ports;
  }

  void run_rank(Rank rank) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    const std::size_t end = schedule_.first_action[static_cast<std::size_t>(rank) + 1];
    for (; state.next < end; ++state.next) {
      const Action& action = schedule_.actions[state.next];
      const EdgeId first_edge = out_.edges();
      if (state.last_node != kNotYet)
        out_.add_edge(state.last_node - 1, Time::zero());
      if (!take_input(action.op(), state) ||
          (action.is_pair() && !take_input(action.overlapped(), state))) {
        out_.drop_edges(first_edge);
        return;
      }
      state.last_node = out_.add_node(first_edge, costs_.duration(action), rank, state.next) + 1;
      give_output(action.op(), state.last_node);
      if (action.is_pair())
        give_output(action.overlapped(), state.last_node);
    }
  }

  /// Adds the edge to what `op` needs; false if that is not there yet. The order of the rank says
  /// it already where the input is made there.
  bool take_input(const Op& op, RankState& state) {
    const Ports& ports = ports_[op.stage_and_kind()];
    if (ports.input == kNoOutput)
      return true;
    const std::size_t output = ports.input + static_cast<std::size_t>(op.microbatch());
    const std::uint32_t node = node_of_output_[output];
    if (node == kNotYet) {
      state.blocked_on = output;
      return false;
    }
    if (!ports.input_is_local)
      out_.add_edge(node - 1, ports.lag);
    return true;
  }

  void give_output(const Op& op, std::uint32_t node) {
    const Ports& ports = ports_[op.stage_and_kind()];
    if (ports.output == kNoOutput)
      return;
    const std::size_t output = ports.output + static_cast<std::size_t>(op.microbatch());
    node_of_output_[output] = node;
    RankState& state = ranks_[static_cast<std::size_t>(ports.reader)];
    if (state.blocked_on == output) {
      state.blocked_on = kNoOutput;
      // Its order runs on in the next cache line, and with a thousand ranks no hardware sees that.
      __builtin_prefetch(schedule_.actions.data() + state.next + 64 / sizeof(Action));
      ready_.push_back(ports.reader);
    }
  }

  const Schedule& schedule_;
  const CostModel& costs_;
  OutputNumbers number_;
  std::vector<Ports> ports_ = {};              // [stage_and_kind]
  std::vector<RankState> ranks_;               // [rank]
  std::vector<Rank> ready_ = {};               // a stack of ranks that can go on
  std::vector<std::uint32_t> node_of_output_;  // [output]
  GraphWriter out_;
};

}  // namespace

bool number_ideal(DependencyGraph::Parts& parts) {
  return IdealNumbering(parts).run();
}

}  // namespace bubblescope

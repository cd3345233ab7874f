// The graph that the simulator and real machines run: who waits for whom, and how long each takes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "sim/base/flat_array.h"
#include "sim/base/types.h"
#include "sim/costs/cost_model.h"
#include "sim/program/program.h"

namespace bubblescope {

struct BoostGraph;  // the Boost.Graph CSR graph: sim/engine/boost_graph.h, where its algorithms are
                    // needed

/// A node is an action of one rank or, where the program spells them out, a message between two.
/// Nodes are numbered as the ranks come to them: each runs as far as it can, and the one woken last
/// goes on first. So a node depends on lower numbers only, what it needs lies close by, and one
/// forward pass is valid and cache-friendly.
using NodeId = std::uint32_t;
using EdgeId = std::uint32_t;

/// A message that is a node. It starts when both ends are posted and what comes before each end on
/// its channel is through.
struct MessageNode {
  static constexpr NodeId kNone = ~NodeId{0};

  Op output;  ///< As in `Transfer`.
  Rank from;
  Rank to;
  NodeId producer;  ///< The action that makes the output.
  NodeId sender;    ///< The action whose end posts the send: the producer, or one after it.
  /// The action that posts the receive, in a stream by its start, else by its end; kNone where the
  /// rank posts it first of all.
  NodeId receiver;
  /// The messages that it queues behind on the sender's channel and the receiver's, or kNone;
  /// batches do not queue.
  NodeId before_at_sender = kNone;
  NodeId before_at_receiver = kNone;
};

/// Compressed sparse rows: node n depends on the producers of the edges first_edge[n] up to
/// first_edge[n + 1]. The first edge of an action is the action before it on its rank, where there
/// is one.
class DependencyGraph {
 public:
  /// The arrays that `build_graph` fills.
  struct Parts {
    Program program;
    CostModel costs;
    std::vector<EdgeId> first_edge = {};   // [nodes + 1]
    std::vector<NodeId> producer = {};     // [edges]
    FlatArray<Time> lag = {};              // [edges]
    FlatArray<Time> duration = {};         // [nodes]
    FlatArray<Rank> rank = {};             // [nodes]
    FlatArray<std::uint32_t> action = {};  // [nodes]
    std::vector<MessageNode> messages = {};
  };

  explicit DependencyGraph(Parts parts);
  DependencyGraph(DependencyGraph&&) noexcept;
  DependencyGraph& operator=(DependencyGraph&&) noexcept;
  ~DependencyGraph();

  NodeId size() const { return static_cast<NodeId>(duration_.size()); }
  const Program& program() const { return program_; }
  const Schedule& schedule() const { return program_.schedule; }
  const CostModel& costs() const { return costs_; }

  std::span<const EdgeId> first_edge() const;  ///< [nodes + 1]
  std::span<const NodeId> producer() const;    ///< [edges] the node waited for
  /// [edges] from the producer's end until the waiting node may start: a message's time, else 0.
  std::span<const Time> lag() const { return lag_; }
  std::span<const Time> duration() const { return duration_; }  ///< [nodes]
  /// To be changed to what a real machine takes; what waits for what stays.
  std::span<Time> lag() { return lag_; }
  std::span<Time> duration() { return duration_; }
  std::span<const Rank> rank() const { return rank_; }  ///< [nodes]; a message is its receiver's
  /// [nodes] the index in schedule().actions; of a message, their number + its index in messages().
  std::span<const std::uint32_t> action_index() const { return action_; }
  bool is_message(NodeId node) const { return action_[node] >= schedule().actions.size(); }
  /// What a node stands for that is no message.
  const Action& action(NodeId node) const { return schedule().actions[action_[node]]; }
  /// What a node stands for that is one.
  const MessageNode& message(NodeId node) const {
    return messages_[action_[node] - schedule().actions.size()];
  }
  std::span<const MessageNode> messages() const { return messages_; }

  /// Gives the program back; the graph is of no more use.
  Program take_program() && { return std::move(program_); }

  const BoostGraph& boost() const { return *boost_; }

 private:
  Program program_;
  CostModel costs_;
  std::unique_ptr<BoostGraph> boost_;
  FlatArray<Time> lag_;
  FlatArray<Time> duration_;
  FlatArray<Rank> rank_;
  FlatArray<std::uint32_t> action_;
  std::vector<MessageNode> messages_;
};

/// Throws Error where ranks wait for one another in a circle (the message shows a shortest one by
/// rank, action and message), or where the costs are so large that times could overflow.
DependencyGraph build_graph(Program program, CostModel costs);

}  // namespace bubblescope

// The graph that is simulated: who waits for whom, and how long each takes.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sim/base/flat_array.h"
#include "sim/base/types.h"
#include "sim/costs/cost_model.h"
#include "sim/program/program.h"

namespace bubblescope {

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

/// [edges] Where all are zero, none is kept.
class Lags {
 public:
  explicit Lags(std::span<const Time> given) : given_(given) {}

  Time operator[](EdgeId edge) const { return given_.empty() ? Time::zero() : given_[edge]; }
  bool are_zero() const { return given_.empty(); }
  std::span<const Time> given() const { return given_; }

 private:
  std::span<const Time> given_;
};

/// Compressed sparse rows: node n depends on the producers of the edges first_edge[n] up to
/// first_edge[n + 1]. The first edge of an action is the action before it on its rank, where there
/// is one.
class DependencyGraph {
 public:
  /// The arrays that `build_graph` fills.
  struct Parts {
    PostedProgram posted;
    CostModel costs;
    FlatArray<EdgeId> first_edge = {};     // [nodes + 1]
    FlatArray<NodeId> producer = {};       // [edges]
    FlatArray<Time> lag = {};              // [edges], or none where all are zero
    FlatArray<Time> duration = {};         // [nodes]
    FlatArray<Rank> rank = {};             // [nodes]
    FlatArray<std::uint32_t> action = {};  // [nodes]
    FlatArray<MessageNode> messages = {};
  };

  explicit DependencyGraph(Parts parts) : parts_(std::move(parts)) {}

  NodeId size() const { return static_cast<NodeId>(parts_.duration.size()); }
  const PostedProgram& posted() const { return parts_.posted; }
  const Schedule& schedule() const { return parts_.posted.schedule; }
  const CostModel& costs() const { return parts_.costs; }

  std::span<const EdgeId> first_edge() const { return parts_.first_edge; }  ///< [nodes + 1]
  std::span<const NodeId> producer() const { return parts_.producer; }      ///< [edges] waited for
  /// [edges] from the producer's end until the waiting node may start: an ideal message's time.
  Lags lag() const { return Lags(parts_.lag); }
  std::span<const Time> duration() const { return parts_.duration; }  ///< [nodes]
  /// To be changed to what a real machine takes; what waits for what stays.
  std::span<Time> own_lags() {
    if (parts_.lag.empty())
      parts_.lag.assign(parts_.producer.size(), Time::zero());
    return parts_.lag;
  }
  std::span<Time> duration() { return parts_.duration; }
  /// [nodes] the rank of an action; of a message, its receiver.
  std::span<const Rank> rank() const { return parts_.rank; }
  /// [nodes] the index in schedule().actions; of a message, their number + its index in messages().
  std::span<const std::uint32_t> action_index() const { return parts_.action; }
  bool is_message(NodeId node) const { return parts_.action[node] >= schedule().actions.size(); }
  /// The action that a node stands for, which is no message.
  const Action& action(NodeId node) const { return schedule().actions[parts_.action[node]]; }
  /// The message that a node stands for, which is one.
  const MessageNode& message(NodeId node) const {
    return parts_.messages[parts_.action[node] - schedule().actions.size()];
  }
  std::span<const MessageNode> messages() const { return parts_.messages; }

 private:
  Parts parts_;
};

/// Throws Error where ranks wait for one another in a circle (the message shows a shortest one by
/// rank, action and message), or where the costs are so large that times could overflow.
DependencyGraph build_graph(PostedProgram posted, CostModel costs);
/// Builds from any program, also one with ideal messages, which only tests do: it is held against
/// the way that large jobs take.
DependencyGraph build_graph(const Program& program, CostModel costs);

}  // namespace bubblescope

// The in-edges of a node: what each stands for, and which arrived last.
#pragma once

#include <algorithm>
#include <cstdint>

#include "sim/engine/simulate.h"

namespace bubblescope {

enum class EdgeKind : std::uint8_t {
  Order,    ///< An action waits for the one before it on its rank.
  Message,  ///< An action waits for a message to its rank, or with ideal communication, where a
            ///< message is no node, for the action on another rank that makes its input.
  Batch,    ///< An action waits for a message that its rank sends in a batch, or a message for one
            ///< of the batch before its own.
  Channel,  ///< A message waits for the one before it on its sender's or its receiver's channel.
  Post,     ///< A message waits until one of its ends is posted.
};

/// Tells in constant time why `node` waits for the producer of an in-edge.
EdgeKind edge_kind(const DependencyGraph& graph, NodeId node, EdgeId edge);

/// When `MessageNode::receiver` had posted the receive of a message, which has one. It does so when
/// it starts where the message waits for what that action waits for, else when it ends.
Time receive_posted(const DependencyGraph& graph, const Timeline& timeline, NodeId message);

constexpr EdgeId kNoEdge = ~EdgeId{0};

struct EveryEdge {
  bool operator()(EdgeId /*edge*/) const { return true; }
};

/// Calls `visit(edge)` for the in-edges of `node` for which `counts(edge)` holds and that arrived
/// last: for one, or for all that arrived at the same time, in the order of the graph.
template <typename Counts, typename Visitor>
void for_each_last_edge(const DependencyGraph& graph, const Timeline& timeline, NodeId node,
                        const Counts& counts, Visitor&& visit) {
  const EdgeId begin = graph.first_edge()[node];
  const EdgeId end = graph.first_edge()[node + 1];
  Time latest = Time::min();
  for (EdgeId edge = begin; edge < end; ++edge)
    if (counts(edge))
      latest = std::max(latest, arrival_time(graph, timeline, edge));
  for (EdgeId edge = begin; edge < end; ++edge)
    if (counts(edge) && arrival_time(graph, timeline, edge) == latest)
      visit(edge);
}

/// The first of them, which a node waited for last; kNoEdge where none counts.
template <typename Counts = EveryEdge>
EdgeId last_edge(const DependencyGraph& graph, const Timeline& timeline, NodeId node,
                 const Counts& counts = {}) {
  EdgeId last = kNoEdge;
  for_each_last_edge(graph, timeline, node, counts,
                     [&](EdgeId edge) { last = std::min(last, edge); });
  return last;
}

}  // namespace bubblescope

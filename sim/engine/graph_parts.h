// The arrays of a graph while it is built.
#pragma once

#include <cstddef>

#include "sim/engine/dependency_graph.h"

namespace bubblescope {

/// Appends nodes with their edges to the arrays of a graph, each in one step of its order.
class GraphWriter {
 public:
  static constexpr std::uint32_t kNotYet = 0;  ///< A node is kept as its number + 1.

  /// Throws Error where so many edges cannot be numbered.
  GraphWriter(DependencyGraph::Parts& parts, const Schedule& schedule, std::size_t nodes,
              std::size_t most_edges, bool has_lags);

  NodeId nodes() const { return nodes_; }
  EdgeId edges() const { return edges_; }
  /// Edges from `first_edge` on are those of the node to come.
  void drop_edges(EdgeId first_edge) { edges_ = first_edge; }

  void add_edge(NodeId producer) { parts_.producer[edges_++] = producer; }
  /// Where edges have lags.
  void add_edge(NodeId producer, Time lag) {
    parts_.lag[edges_] = lag;
    add_edge(producer);
  }
  std::size_t action(NodeId node) const { return parts_.action[node]; }
  NodeId newest_producer() const { return parts_.producer[edges_ - 1]; }

  /// Adds all that an earlier node depends on.
  void copy_edges(NodeId node, EdgeId first_of_newest) {
    const EdgeId end = node + 1 < nodes_ ? parts_.first_edge[node + 1] : first_of_newest;
    for (EdgeId edge = parts_.first_edge[node]; edge < end; ++edge)
      add_edge(parts_.producer[edge]);
  }

  NodeId add_node(EdgeId first_edge, Time duration, Rank rank, std::size_t action) {
    parts_.first_edge[nodes_] = first_edge;
    parts_.duration[nodes_] = duration;
    parts_.rank[nodes_] = rank;
    parts_.action[nodes_] = static_cast<std::uint32_t>(action);
    return nodes_++;
  }

  /// After the last node.
  void finish();

 private:
  DependencyGraph::Parts& parts_;
  NodeId nodes_ = 0;
  EdgeId edges_ = 0;
};

/// Fill the arrays: of a schedule whose messages are ideal, or of any program. False where ranks
/// wait for one another in a circle.
bool number_ideal(DependencyGraph::Parts& parts);
bool number_program(const Program& program, DependencyGraph::Parts& parts);

}  // namespace bubblescope

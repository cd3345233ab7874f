// DependencyGraph as Boost.Graph's algorithms read it, without a copy: a vertex list, an edge list
// and an incidence graph, whose edges run from a node to one that it depends on. Include it where
// an algorithm is needed and nowhere else: it costs a second of compile time.
#pragma once

#include <utility>

#include <boost/graph/graph_traits.hpp>
#include <boost/graph/properties.hpp>
#include <boost/iterator/counting_iterator.hpp>
#include <boost/iterator/iterator_facade.hpp>
#include <boost/property_map/property_map.hpp>

#include "sim/engine/dependency_graph.h"

namespace bubblescope {

struct GraphEdge {
  NodeId waiting;
  EdgeId edge;

  friend bool operator==(const GraphEdge&, const GraphEdge&) = default;
};

/// Walks over edges in their order, and keeps up with the node that they belong to.
class GraphEdgeIterator : public boost::iterator_facade<GraphEdgeIterator, GraphEdge,
                                                        boost::forward_traversal_tag, GraphEdge> {
 public:
  GraphEdgeIterator() = default;
  GraphEdgeIterator(const DependencyGraph& graph, NodeId node, EdgeId edge)
      : first_edge_(graph.first_edge()), at_{node, edge} {
    find_node();
  }

 private:
  friend class boost::iterator_core_access;

  GraphEdge dereference() const { return at_; }
  bool equal(const GraphEdgeIterator& other) const { return at_.edge == other.at_.edge; }
  void increment() {
    ++at_.edge;
    find_node();
  }
  void find_node() {
    while (at_.waiting + 1 < first_edge_.size() && first_edge_[at_.waiting + 1] <= at_.edge)
      ++at_.waiting;
  }

  std::span<const EdgeId> first_edge_ = {};
  GraphEdge at_ = {};
};

inline NodeId num_vertices(const DependencyGraph& graph) {
  return graph.size();
}
inline EdgeId num_edges(const DependencyGraph& graph) {
  return static_cast<EdgeId>(graph.producer().size());
}
inline auto vertices(const DependencyGraph& graph) {
  return std::pair(boost::counting_iterator<NodeId>(0),
                   boost::counting_iterator<NodeId>(graph.size()));
}
inline auto edges(const DependencyGraph& graph) {
  return std::pair(GraphEdgeIterator(graph, 0, 0),
                   GraphEdgeIterator(graph, graph.size(), num_edges(graph)));
}
inline auto out_edges(NodeId node, const DependencyGraph& graph) {
  return std::pair(GraphEdgeIterator(graph, node, graph.first_edge()[node]),
                   GraphEdgeIterator(graph, node, graph.first_edge()[node + 1]));
}
inline EdgeId out_degree(NodeId node, const DependencyGraph& graph) {
  return graph.first_edge()[node + 1] - graph.first_edge()[node];
}
inline NodeId source(const GraphEdge& edge, const DependencyGraph&) {
  return edge.waiting;
}
inline NodeId target(const GraphEdge& edge, const DependencyGraph& graph) {
  return graph.producer()[edge.edge];
}
inline boost::typed_identity_property_map<NodeId> get(boost::vertex_index_t,
                                                      const DependencyGraph&) {
  return {};
}

}  // namespace bubblescope

// NOLINTBEGIN(readability-identifier-naming): Boost asks for these names.
template <>
struct boost::graph_traits<bubblescope::DependencyGraph> {
  struct traversal_category : boost::vertex_list_graph_tag,
                              boost::edge_list_graph_tag,
                              boost::incidence_graph_tag {};
  using vertex_descriptor = bubblescope::NodeId;
  using edge_descriptor = bubblescope::GraphEdge;
  using directed_category = boost::directed_tag;
  using edge_parallel_category = boost::allow_parallel_edge_tag;
  using vertex_iterator = boost::counting_iterator<bubblescope::NodeId>;
  using edge_iterator = bubblescope::GraphEdgeIterator;
  using out_edge_iterator = bubblescope::GraphEdgeIterator;
  using vertices_size_type = bubblescope::NodeId;
  using edges_size_type = bubblescope::EdgeId;
  using degree_size_type = bubblescope::EdgeId;
  static vertex_descriptor null_vertex() { return ~vertex_descriptor{0}; }
};

template <>
struct boost::property_map<bubblescope::DependencyGraph, boost::vertex_index_t> {
  using type = boost::typed_identity_property_map<bubblescope::NodeId>;
  using const_type = type;
};
// NOLINTEND(readability-identifier-naming)

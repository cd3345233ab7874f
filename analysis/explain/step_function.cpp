#include "analysis/explain/step_function.h"

#include <algorithm>

#include "sim/engine/in_edges.h"

namespace bubblescope {
namespace {

/// Calls `visit(kind, length)` for each action and each message.
template <typename Visitor>
void for_each_cost(const DependencyGraph& graph, Visitor&& visit) {
  for (NodeId node = 0; node < graph.size(); ++node) {
    visit(cost_kind(graph, node), graph.duration()[node]);
    for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge)
      if (is_hop(graph, graph.producer()[edge], node))
        visit(CostKind::Hop, graph.lag()[edge]);
  }
}

}  // namespace

StepFunction::StepFunction(const DependencyGraph& graph, Unit unit)
    : graph_(graph),
      unit_(unit),
      lengths_(graph.duration()),
      kind_(graph.size()),
      end_(graph.size()),
      last_edge_(graph.size()) {
  for (NodeId node = 0; node < graph.size(); ++node)
    kind_[node] = cost_kind(graph, node);
}

StepFunction::Longest StepFunction::at(const PerCost<std::int64_t>& costs) const {
  const auto first_edge = graph_.first_edge();
  const auto producer = graph_.producer();
  const Lags lag = graph_.lag();
  const auto hop_units = [&](EdgeId edge, NodeId node) -> std::int64_t {
    if (!is_hop(graph_, producer[edge], node))
      return 0;
    return unit_ == Unit::Once ? 1 : lag[edge].count();
  };
  const std::int64_t hop = costs[index(CostKind::Hop)];
  NodeId last = 0;
  for (NodeId node = 0; node < graph_.size(); ++node) {
    std::int64_t start = 0;
    last_edge_[node] = kNoEdge;
    for (EdgeId edge = first_edge[node]; edge < first_edge[node + 1]; ++edge) {
      const std::int64_t arrival = end_[producer[edge]] + hop_units(edge, node) * hop;
      if (arrival > start || last_edge_[node] == kNoEdge) {
        start = arrival;
        last_edge_[node] = edge;
      }
    }
    end_[node] = start + units(node) * costs[index(kind_[node])];
    if (end_[node] > end_[last])
      last = node;
  }
  Longest longest{.time = end_[last], .form = {}};
  for (NodeId node = last;;) {
    longest.form[index(kind_[node])] += units(node);
    const EdgeId edge = last_edge_[node];
    if (edge == kNoEdge)
      return longest;
    longest.form[index(CostKind::Hop)] += hop_units(edge, node);
    node = producer[edge];
  }
}

std::optional<PerCost<std::int64_t>> common_costs(const DependencyGraph& graph) {
  PerCost<std::int64_t> common;
  common.fill(-1);
  bool differ = false;
  for_each_cost(graph, [&](CostKind kind, Time length) {
    std::int64_t& cost = common[index(kind)];
    differ = differ || (cost >= 0 && cost != length.count());
    cost = length.count();
  });
  if (differ)
    return std::nullopt;
  for (std::int64_t& cost : common)
    cost = std::max<std::int64_t>(cost, 0);
  return common;
}

}  // namespace bubblescope

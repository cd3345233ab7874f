#include "analysis/critical_path.h"

#include <algorithm>
#include <tuple>

#include "sim/simulate.h"

namespace bubblescope {
namespace {

using Counts = PerCost<std::uint32_t>;

/// Orders what ends or arrives at one time: the path with less of these is taken.
auto preference(const Counts& counts) {
  const auto of = [&](CostKind kind) { return counts[index(kind)]; };
  return std::tuple(of(CostKind::WeightGrad), of(CostKind::InputGrad), of(CostKind::Backward),
                    of(CostKind::Pair), of(CostKind::Hop), of(CostKind::Forward));
}

}  // namespace

CriticalTree critical_tree(const DependencyGraph& graph, const Timeline& timeline) {
  CriticalTree tree{.before = std::vector<NodeId>(graph.size(), kNoNode)};
  FlatArray<Counts> counts(graph.size());  // [node] on the path that ends with it
  const auto first_edge = graph.first_edge();
  const auto producer = graph.producer();
  for (NodeId node = 0; node < graph.size(); ++node) {
    Time latest = Time::min();
    Counts best{};
    for (EdgeId edge = first_edge[node]; edge < first_edge[node + 1]; ++edge) {
      const Time arrival = arrival_time(graph, timeline, edge);
      if (arrival < latest)
        continue;
      Counts path = counts[producer[edge]];
      path[index(CostKind::Hop)] += is_hop(graph, producer[edge], node) ? 1U : 0U;
      if (arrival > latest || preference(path) < preference(best)) {
        latest = arrival;
        best = path;
        tree.before[node] = producer[edge];
      }
    }
    ++best[index(cost_kind(graph, node))];
    counts[node] = best;
    const auto end = [&](NodeId of) { return timeline.spans[of].end; };
    if (tree.last == kNoNode || end(node) > end(tree.last) ||
        (end(node) == end(tree.last) && preference(best) < preference(counts[tree.last])))
      tree.last = node;
  }
  return tree;
}

CriticalPath critical_path(const DependencyGraph& graph, const Timeline& timeline) {
  const CriticalTree tree = critical_tree(graph, timeline);
  CriticalPath path;
  for (NodeId node = tree.last; node != kNoNode; node = tree.before[node]) {
    path.nodes.push_back(node);
    ++path.counts[index(cost_kind(graph, node))];
    if (const NodeId before = tree.before[node]; before != kNoNode && is_hop(graph, before, node))
      ++path.counts[index(CostKind::Hop)];
  }
  std::reverse(path.nodes.begin(), path.nodes.end());
  return path;
}

}  // namespace bubblescope

#include "analysis/figures/critical_path.h"

#include <algorithm>

#include "sim/engine/in_edges.h"

namespace bubblescope {
namespace {

using Counts = PerCost<std::uint32_t>;

/// Orders paths that end at one time.
class Preference {
 public:
  Preference(const DependencyGraph& graph, const Timeline& timeline) {
    PerCost<bool> costs{};  // something
    for (NodeId node = 0; node < graph.size(); ++node) {
      if (timeline.spans[node].length() > Time::zero())
        costs[index(cost_kind(graph, node))] = true;
      for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge)
        if (graph.lag()[edge] > Time::zero())
          costs[index(CostKind::Hop)] = true;
    }
    for (std::size_t kind = 0; kind < kCostKinds; ++kind)
      sign_[kind] = costs[kind] ? 1 : -1;
  }

  /// Whether a path with the counts `a` is taken rather than one with `b`.
  bool takes(const Counts& a, const Counts& b) const { return key(a) < key(b); }

 private:
  std::array<std::int64_t, kCostKinds> key(const Counts& counts) const {
    const auto of = [&](CostKind kind, CostKind part) {
      const std::int64_t all = std::int64_t{counts[index(kind)]} + counts[index(part)];
      return (kind == part ? all / 2 : all) * sign_[index(kind)];
    };
    using enum CostKind;
    return {of(WeightGrad, Backward), of(InputGrad, Backward), of(Pair, Pair), of(Hop, Hop),
            of(Forward, Forward),     of(Backward, Backward)};
  }

  PerCost<std::int64_t> sign_;  // −1 for what costs nothing
};

}  // namespace

CriticalTree critical_tree(const DependencyGraph& graph, const Timeline& timeline) {
  CriticalTree tree{.before = std::vector<NodeId>(graph.size(), kNoNode)};
  FlatArray<Counts> counts(graph.size());  // [node] on the path that ends with it
  const Preference preference(graph, timeline);
  for (NodeId node = 0; node < graph.size(); ++node) {
    Counts best{};
    for_each_last_edge(graph, timeline, node, EveryEdge(), [&](EdgeId edge) {
      const NodeId before = graph.producer()[edge];
      Counts path = counts[before];
      path[index(CostKind::Hop)] += is_hop(graph, before, node) ? 1U : 0U;
      if (tree.before[node] == kNoNode || preference.takes(path, best)) {
        best = path;
        tree.before[node] = before;
      }
    });
    ++best[index(cost_kind(graph, node))];
    counts[node] = best;
    const auto end = [&](NodeId of) { return timeline.spans[of].end; };
    if (tree.last == kNoNode || end(node) > end(tree.last) ||
        (end(node) == end(tree.last) && preference.takes(best, counts[tree.last])))
      tree.last = node;
  }
  return tree;
}

CriticalPath critical_path(const DependencyGraph& graph, const CriticalTree& tree) {
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

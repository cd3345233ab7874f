#include "analysis/figures/imbalance.h"

#include "analysis/figures/cost_kinds.h"
#include "sim/engine/in_edges.h"

namespace bubblescope {
namespace {

bool is_even(const DependencyGraph& graph, const Timeline& timeline) {
  PerCost<Time> first;
  first.fill(Time::min());
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (graph.is_message(node))
      continue;
    Time& length = first[index(cost_kind(graph.action(node)))];
    if (length == Time::min())
      length = timeline.spans[node].length();
    else if (length != timeline.spans[node].length())
      return false;
  }
  return true;
}

/// Rounded down; of kinds that do not occur, 0.
PerCost<Time> mean_lengths(const DependencyGraph& graph, const Timeline& timeline) {
  PerCost<Time> sum{};
  PerCost<std::int64_t> count{};
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (graph.is_message(node))
      continue;
    const std::size_t kind = index(cost_kind(graph.action(node)));
    sum[kind] += timeline.spans[node].length();
    ++count[kind];
  }
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    if (count[kind] > 0)
      sum[kind] /= count[kind];
  return sum;
}

}  // namespace

FlatArray<Time> balanced_ends(const DependencyGraph& graph, const Timeline& timeline) {
  FlatArray<Time> ends;
  if (is_even(graph, timeline))
    return ends;
  const PerCost<Time> mean = mean_lengths(graph, timeline);
  ends.resize(graph.size());
  for (NodeId node = 0; node < graph.size(); ++node) {
    const Span& span = timeline.spans[node];
    Time start = span.start;
    if (const EdgeId edge = last_edge(graph, timeline, node); edge != kNoEdge) {
      const NodeId before = graph.producer()[edge];
      start += ends[before] - timeline.spans[before].end;
    }
    ends[node] = start + (graph.is_message(node) ? span.length()
                                                 : mean[index(cost_kind(graph.action(node)))]);
  }
  return ends;
}

}  // namespace bubblescope

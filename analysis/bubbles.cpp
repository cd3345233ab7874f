#include "analysis/bubbles.h"

#include <algorithm>

namespace bubblescope {
namespace {

/// The producer on another rank whose output reached `node` last; `node` itself if there is none.
NodeId last_to_arrive(const DependencyGraph& graph, const Timeline& timeline, NodeId node) {
  NodeId last = node;
  Time arrival = Time::min();
  for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge) {
    const NodeId producer = graph.producer()[edge];
    const Time arrived = timeline.spans[producer].end + graph.lag()[edge];
    if (graph.rank()[producer] != graph.rank()[node] && arrived > arrival) {
      last = producer;
      arrival = arrived;
    }
  }
  return last;
}

}  // namespace

std::vector<Bubble> find_bubbles(const DependencyGraph& graph, const Timeline& timeline) {
  struct RankEnd {
    Time time{};
    NodeId node = 0;
    bool started = false;
  };
  std::vector<RankEnd> ranks(static_cast<std::size_t>(graph.schedule().placement.ranks));
  std::vector<Bubble> bubbles;
  Span step{Time::max(), Time::min()};
  for (const Span& span : timeline.spans)
    step = {std::min(step.start, span.start), std::max(step.end, span.end)};
  for (RankEnd& rank : ranks)
    rank.time = step.start;
  for (NodeId node = 0; node < graph.size(); ++node) {
    RankEnd& before = ranks[static_cast<std::size_t>(graph.rank()[node])];
    const Span& span = timeline.spans[node];
    if (span.start > before.time) {
      const NodeId blocking = last_to_arrive(graph, timeline, node);
      const auto cause = !before.started                              ? BubbleCause::WarmUp
                         : blocking == node                           ? BubbleCause::Unknown
                         : timeline.spans[blocking].end > before.time ? BubbleCause::Dependency
                                                                      : BubbleCause::Message;
      bubbles.push_back({graph.rank()[node], {before.time, span.start}, cause, node, blocking});
    }
    before = {span.end, node, true};
  }
  for (std::size_t rank = 0; rank < ranks.size(); ++rank)
    if (ranks[rank].started && ranks[rank].time < step.end)
      bubbles.push_back({static_cast<Rank>(rank),
                         {ranks[rank].time, step.end},
                         BubbleCause::Drain,
                         ranks[rank].node,
                         ranks[rank].node});
  std::stable_sort(bubbles.begin(), bubbles.end(), [](const Bubble& a, const Bubble& b) {
    return std::pair(a.rank, a.span.start) < std::pair(b.rank, b.span.start);
  });
  return bubbles;
}

}  // namespace bubblescope

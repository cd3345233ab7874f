#include "analysis/explain/blockers.h"

#include <algorithm>

#include "sim/engine/simulate.h"

namespace bubblescope {
namespace {

/// Messages and producers on other ranks that reach what waits at the moment when it can start.
std::vector<NodeId> last_to_arrive(const DependencyGraph& graph, const Timeline& timeline,
                                   const Bubble& bubble) {
  std::vector<NodeId> last;
  Time latest = Time::min();
  const auto first_edge = graph.first_edge();
  for (EdgeId edge = first_edge[bubble.waiting]; edge < first_edge[bubble.waiting + 1]; ++edge) {
    const NodeId producer = graph.producer()[edge];
    if (graph.rank()[producer] == bubble.rank && !graph.is_message(producer))
      continue;
    const Time arrival = arrival_time(graph, timeline, edge);
    if (arrival > latest)
      last.clear();
    latest = std::max(latest, arrival);
    if (arrival == latest)
      last.push_back(producer);
  }
  return last;
}

}  // namespace

Blockers::Blockers(const DependencyGraph& graph, const Timeline& timeline)
    : graph_(graph), timeline_(timeline) {
  Time end = Time::min();
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (timeline.spans[node].end > end)
      last_to_end_.clear();
    end = std::max(end, timeline.spans[node].end);
    if (timeline.spans[node].end == end)
      last_to_end_.push_back(node);
  }
}

std::vector<NodeId> Blockers::of(const Bubble& bubble) const {
  if (bubble.cause == BubbleCause::Drain)
    return last_to_end_;
  if (bubble.cause == BubbleCause::Unknown)
    return {bubble.blocking};
  std::vector<NodeId> all;
  for (const NodeId arrival : last_to_arrive(graph_, timeline_, bubble))
    add_holders(arrival, bubble.span.end, all);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

/// What `arrival`, a message or what makes one, waits for just before `moment`.
void Blockers::add_holders(NodeId arrival, Time moment, std::vector<NodeId>& all) const {
  if (!graph_.is_message(arrival)) {
    all.push_back(arrival);
    return;
  }
  const MessageNode& message = graph_.message(arrival);
  const std::size_t before = all.size();
  const auto add = [&](NodeId node, Time Span::*end) {
    if (node != MessageNode::kNone && timeline_.spans[node].*end >= moment)
      all.push_back(node);
  };
  add(message.producer, &Span::end);
  if (all.size() > before)
    return;
  add(message.sender, &Span::end);
  add(message.receiver, graph_.posted().comm == Comm::Stream ? &Span::start : &Span::end);
  if (all.size() > before)
    return;
  add(message.before_at_sender, &Span::end);
  add(message.before_at_receiver, &Span::end);
  if (all.size() == before)
    all.push_back(arrival);
}

}  // namespace bubblescope

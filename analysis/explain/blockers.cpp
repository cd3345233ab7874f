#include "analysis/explain/blockers.h"

#include <algorithm>

#include "sim/engine/in_edges.h"

namespace bubblescope {

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
  for_each_last_edge(
      graph_, timeline_, bubble.waiting,
      [&](EdgeId edge) { return edge_kind(graph_, bubble.waiting, edge) != EdgeKind::Order; },
      [&](EdgeId edge) { add_holders(graph_.producer()[edge], bubble.span.end, all); });
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
  const auto add = [&](NodeId node) {
    if (node != MessageNode::kNone && timeline_.spans[node].end >= moment)
      all.push_back(node);
  };
  add(message.producer);
  if (all.size() > before)
    return;
  add(message.sender);
  if (message.receiver != MessageNode::kNone &&
      receive_posted(graph_, timeline_, arrival) >= moment)
    all.push_back(message.receiver);
  if (all.size() > before)
    return;
  add(message.before_at_sender);
  add(message.before_at_receiver);
  if (all.size() == before)
    all.push_back(arrival);
}

}  // namespace bubblescope

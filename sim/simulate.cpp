#include "sim/simulate.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

namespace bubblescope {
namespace {

/// The graph turned round: who waits for a node.
struct Consumers {
  struct Edge {
    NodeId consumer;
    EdgeId edge;  // its place in the graph's own arrays
  };
  std::vector<EdgeId> first;  // [nodes + 1]
  std::vector<Edge> edges;

  explicit Consumers(const DependencyGraph& graph)
      : first(graph.size() + std::size_t{1}), edges(graph.producer().size()) {
    for (const NodeId producer : graph.producer())
      ++first[producer + 1];
    for (std::size_t n = 0; n + 1 < first.size(); ++n)
      first[n + 1] += first[n];
    std::vector<EdgeId> next(first.begin(), first.end() - 1);
    const auto first_edge = graph.first_edge();
    for (NodeId node = 0; node < graph.size(); ++node)
      for (EdgeId edge = first_edge[node]; edge < first_edge[node + 1]; ++edge)
        edges[next[graph.producer()[edge]]++] = {node, edge};
  }
};

/// Event-driven: a node's end is an event; what it lets start is decided when the event is handled.
void run_events(const DependencyGraph& graph, std::span<Span> spans) {
  using Event = std::pair<Time, NodeId>;  // the end of a node
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
  const Consumers consumers(graph);
  const auto first_edge = graph.first_edge();
  std::vector<EdgeId> missing(graph.size());  // [node] dependencies that have not ended
  const auto start = [&](NodeId node) {
    spans[node].end = spans[node].start + graph.duration()[node];
    events.emplace(spans[node].end, node);
  };
  for (NodeId node = 0; node < graph.size(); ++node) {
    missing[node] = first_edge[node + 1] - first_edge[node];
    spans[node].start = Time::zero();
  }
  for (NodeId node = 0; node < graph.size(); ++node)
    if (missing[node] == 0)
      start(node);
  while (!events.empty()) {
    const auto [now, ended] = events.top();
    events.pop();
    for (EdgeId i = consumers.first[ended]; i < consumers.first[ended + 1]; ++i) {
      const auto [consumer, edge] = consumers.edges[i];
      spans[consumer].start = std::max(spans[consumer].start, now + graph.lag()[edge]);
      if (--missing[consumer] == 0)
        start(consumer);
    }
  }
}

}  // namespace

void sweep(const DependencyGraph& graph, std::span<Span> spans) {
  const auto first_edge = graph.first_edge();
  const auto producer = graph.producer();
  const auto lag = graph.lag();
  const auto duration = graph.duration();
  for (NodeId node = 0; node < graph.size(); ++node) {
    Time start = Time::zero();
    for (EdgeId edge = first_edge[node]; edge < first_edge[node + 1]; ++edge)
      start = std::max(start, spans[producer[edge]].end + lag[edge]);
    spans[node] = {start, start + duration[node]};
  }
}

Timeline simulate(const DependencyGraph& graph, Engine engine) {
  Timeline timeline{.source = "simulated", .spans = FlatArray<Span>(graph.size())};
  if (engine == Engine::Sweep)
    sweep(graph, timeline.spans);
  else
    run_events(graph, timeline.spans);
  return timeline;
}

}  // namespace bubblescope

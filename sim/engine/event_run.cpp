#include "sim/engine/event_run.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "sim/engine/flows.h"
#include "sim/engine/message_edges.h"

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

/// Ties go to the lower id.
using Event = std::pair<Time, std::uint32_t>;
using EventQueue = std::priority_queue<Event, std::vector<Event>, std::greater<>>;

/// Where no links are shared: the ends of nodes are all the events.
class EventRun {
 public:
  EventRun(const DependencyGraph& graph, std::span<Span> spans)
      : graph_(graph),
        consumers_(graph),
        first_edge_(graph.first_edge()),
        lag_(graph.lag()),
        duration_(graph.duration()),
        spans_(spans),
        missing_(graph.size()) {
    for (NodeId node = 0; node < graph.size(); ++node) {
      missing_[node] = first_edge_[node + 1] - first_edge_[node];
      spans_[node].start = Time::zero();
    }
  }

  void run() {
    for (NodeId node = 0; node < graph_.size(); ++node)
      if (missing_[node] == 0)
        start(node);
    while (!ends_.empty()) {
      const auto [now, ended] = ends_.top();
      ends_.pop();
      for (EdgeId i = consumers_.first[ended]; i < consumers_.first[ended + 1]; ++i) {
        const auto [consumer, edge] = consumers_.edges[i];
        if (is_last_to_arrive(consumer, now + lag_[edge]))
          start(consumer);
      }
    }
  }

 protected:
  /// Whether all that `node` waits for is there now.
  bool is_last_to_arrive(NodeId node, Time arrival) {
    spans_[node].start = std::max(spans_[node].start, arrival);
    return --missing_[node] == 0;
  }

  void start(NodeId node) {
    spans_[node].end = spans_[node].start + duration_[node];
    ends_.emplace(spans_[node].end, node);
  }

  const DependencyGraph& graph_;
  const Consumers consumers_;
  std::span<const EdgeId> first_edge_;
  Lags lag_;
  std::span<const Time> duration_;
  std::span<Span> spans_;
  std::vector<EdgeId> missing_;  // [node] dependencies that have not ended
  EventQueue ends_ = {};         // of nodes
};

/// Where some are: messages that cross one leave, flow and arrive. They are called by the node that
/// they are, or by the place in `consumers_` of the edge that they are.
class ContendedRun : EventRun {
 public:
  ContendedRun(const DependencyGraph& graph, Timeline& timeline)
      : EventRun(graph, timeline.spans),
        costs_(graph.costs()),
        is_ideal_(graph.messages().empty()),
        flows_(graph.costs().network().capacities(graph.schedule().placement.ranks)),
        arrivals_(timeline.arrivals) {
    if (!is_ideal_)
      return;
    timeline.arrivals.resize(graph.producer().size());
    arrivals_ = timeline.arrivals;
    output_of_edge_.resize(graph.producer().size());
    for_each_message_edge(graph, [&](EdgeId edge, const Message& message) {
      if (crosses_links(message.output))
        output_of_edge_[edge] = message.output;
    });
  }

  void run() {
    for (NodeId node = 0; node < graph_.size(); ++node)
      if (missing_[node] == 0)
        begin(node);
    for (Time now{};;) {
      const Time end = ends_.empty() ? Time::max() : ends_.top().first;
      const Time departure = departures_.empty() ? Time::max() : departures_.top().first;
      if (std::min({end, departure, flows_.next_end()}) > now)
        flows_.settle(now);
      const Time flow = flows_.next_end();
      now = std::min({end, departure, flow});
      if (now == Time::max())
        return;
      if (flow == now)
        finish_message(now);
      else if (departure == now)
        depart(now);
      else
        finish_node(now);
    }
  }

 private:
  /// Whether a message has bytes that others can slow down.
  bool crosses_links(const Op& output) const {
    return costs_.route(output).is_shared() && costs_.message_bytes(output) > 0;
  }

  void begin(NodeId node) {
    if (graph_.is_message(node))
      if (const Op& output = graph_.message(node).output; crosses_links(output)) {
        departures_.emplace(spans_[node].start + costs_.route(output).alone.latency, node);
        return;
      }
    start(node);
  }

  void depart(Time now) {
    const std::uint32_t message = departures_.top().second;
    departures_.pop();
    const Op& output = is_ideal_ ? *output_of_edge_[consumers_.edges[message].edge]
                                 : graph_.message(message).output;
    const Route& route = costs_.route(output);
    flows_.begin(now, {.message = message,
                       .bytes = costs_.message_bytes(output),
                       .bytes_per_second = route.bytes_per_second,
                       .links = route.links});
  }

  void finish_message(Time now) {
    const std::uint32_t message = flows_.end_next();
    if (is_ideal_) {
      arrive(consumers_.edges[message], now);
    } else {
      spans_[message].end = now;
      ends_.emplace(now, message);
    }
  }

  void finish_node(Time now) {
    const NodeId ended = ends_.top().second;
    ends_.pop();
    for (EdgeId i = consumers_.first[ended]; i < consumers_.first[ended + 1]; ++i) {
      const EdgeId edge = consumers_.edges[i].edge;
      if (is_ideal_ && output_of_edge_[edge])
        departures_.emplace(now + costs_.route(*output_of_edge_[edge]).alone.latency, i);
      else
        arrive(consumers_.edges[i], now + lag_[edge]);
    }
  }

  void arrive(const Consumers::Edge& edge, Time arrival) {
    if (is_ideal_)
      arrivals_[edge.edge] = arrival;
    if (is_last_to_arrive(edge.consumer, arrival))
      begin(edge.consumer);
  }

  const CostModel& costs_;
  bool is_ideal_;
  Flows flows_;
  std::span<Time> arrivals_;                            // [edge] of ideal communication
  std::vector<std::optional<Op>> output_of_edge_ = {};  // [edge] that flows on it, if one does
  EventQueue departures_ = {};                          // of messages whose latency is over
};

}  // namespace

void run_events(const DependencyGraph& graph, Timeline& timeline) {
  if (graph.costs().shares_links())
    ContendedRun(graph, timeline).run();
  else
    EventRun(graph, timeline.spans).run();
}

}  // namespace bubblescope

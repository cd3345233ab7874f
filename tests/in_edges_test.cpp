// What an in-edge stands for, and which arrived last, against a reading edge by edge.
#include "sim/engine/in_edges.h"

#include <algorithm>
#include <map>
#include <vector>

#include <doctest/doctest.h>

#include "sim/program/posting.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

constexpr Comm kAll[] = {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch};

DependencyGraph random_graph(std::uint64_t seed, Comm comm) {
  std::mt19937_64 engine(seed);
  const Schedule schedule = random_schedule(engine);
  const CostSource costs = random_costs(engine, schedule.placement);
  return build_graph(post_messages(schedule, comm), {costs, schedule.placement, {}});
}

/// By what the mode of communication says of it.
EdgeKind expected_kind(const DependencyGraph& graph, NodeId node, EdgeId edge) {
  const NodeId producer = graph.producer()[edge];
  const bool from_message = graph.is_message(producer);
  const Comm comm = graph.posted().comm;
  if (!graph.is_message(node)) {
    if (from_message && comm == Comm::Batched && graph.message(producer).from == graph.rank()[node])
      return EdgeKind::Batch;
    const bool is_order = !from_message && graph.rank()[producer] == graph.rank()[node];
    return is_order ? EdgeKind::Order : EdgeKind::Message;
  }
  if (!from_message)
    return EdgeKind::Post;
  if (comm == Comm::Batched)
    return EdgeKind::Batch;
  const MessageNode& message = graph.message(node);
  const auto first = std::find(graph.producer().begin() + graph.first_edge()[node],
                               graph.producer().begin() + edge, producer);
  const bool is_first = first == graph.producer().begin() + edge;
  const bool is_before =
      producer == message.before_at_sender || producer == message.before_at_receiver;
  return is_first && is_before ? EdgeKind::Channel : EdgeKind::Post;
}

}  // namespace

TEST_CASE("The kind of an in-edge is that which the communication gives it") {
  for (const Comm comm : kAll) {
    std::map<EdgeKind, int> found;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      CAPTURE(seed);
      const DependencyGraph graph = random_graph(seed, comm);
      for (NodeId node = 0; node < graph.size(); ++node)
        for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge) {
          const EdgeKind kind = edge_kind(graph, node, edge);
          REQUIRE(kind == expected_kind(graph, node, edge));
          ++found[kind];
        }
    }
    CAPTURE(to_string(comm));
    CHECK(found[EdgeKind::Order] > 0);
    CHECK(found[EdgeKind::Message] > 0);
    CHECK((found[EdgeKind::Post] > 0) == (comm != Comm::Ideal));
    CHECK((found[EdgeKind::Channel] > 0) == has_channels(comm));
    CHECK((found[EdgeKind::Batch] > 0) == (comm == Comm::Batched));
  }
}

TEST_CASE("A receive is posted by the start of an action in a stream, else by its end") {
  for (const Comm comm : kAll)
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      CAPTURE(seed);
      const DependencyGraph graph = random_graph(seed, comm);
      const Timeline timeline = simulate(graph);
      for (NodeId node = 0; node < graph.size(); ++node) {
        if (!graph.is_message(node) || graph.message(node).receiver == MessageNode::kNone)
          continue;
        const Span& receiver = timeline.spans[graph.message(node).receiver];
        const Time posted = comm == Comm::Stream ? receiver.start : receiver.end;
        REQUIRE(receive_posted(graph, timeline, node) == posted);
        REQUIRE(posted <= timeline.spans[node].start);
      }
    }
}

TEST_CASE("What arrives last is what a node starts with, and ties are in the order of the edges") {
  for (const Comm comm : kAll)
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      CAPTURE(seed);
      const DependencyGraph graph = random_graph(seed, comm);
      const Timeline timeline = simulate(graph);
      for (NodeId node = 0; node < graph.size(); ++node) {
        std::vector<EdgeId> expected;
        for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge)
          if (arrival_time(graph, timeline, edge) == timeline.spans[node].start)
            expected.push_back(edge);
        std::vector<EdgeId> last;
        for_each_last_edge(graph, timeline, node, EveryEdge(),
                           [&](EdgeId edge) { last.push_back(edge); });
        REQUIRE(last == expected);
        REQUIRE(last_edge(graph, timeline, node) == (last.empty() ? kNoEdge : last.front()));
        const auto is_order = [&](EdgeId edge) {
          return edge_kind(graph, node, edge) == EdgeKind::Order;
        };
        const EdgeId order = last_edge(graph, timeline, node, is_order);
        REQUIRE((order == kNoEdge || is_order(order)));
      }
    }
}

}  // namespace bubblescope

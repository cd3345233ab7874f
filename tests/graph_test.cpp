// The dependency graph against an independent reading of the schedule.
#include <algorithm>
#include <iterator>

#include <boost/graph/topological_sort.hpp>
#include <doctest/doctest.h>

#include "sim/engine/boost_graph.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/graphviz.h"
#include "sim/program/lowering.h"
#include "sim/program/posting.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

struct Edge {
  NodeId producer;
  Time lag;
  friend bool operator==(const Edge&, const Edge&) = default;
};

std::vector<Edge> edges_of(const DependencyGraph& graph, NodeId node) {
  std::vector<Edge> edges;
  for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge)
    edges.push_back({graph.producer()[edge], graph.lag()[edge]});
  return edges;
}

std::vector<NodeId> node_of_action(const DependencyGraph& graph) {
  std::vector<NodeId> nodes(graph.size(), graph.size());
  for (NodeId node = 0; node < graph.size(); ++node)
    nodes[graph.action_index()[node]] = node;
  return nodes;
}

DependencyGraph random_graph(std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  const Schedule schedule = random_schedule(engine);
  return graph_of(schedule, random_costs(engine, schedule.placement));
}

DependencyGraph free_graph(const Schedule& schedule) {
  return build_graph(post_messages(schedule, Comm::Ideal), free_costs(schedule.placement));
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

}  // namespace

TEST_CASE("Each action waits for the one before it and then for its inputs") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const DependencyGraph graph = random_graph(seed);
    const auto waits = naive_waits(graph.schedule());
    const auto nodes = node_of_action(graph);
    for (std::size_t action = 0; action < waits.size(); ++action) {
      std::vector<Edge> expected;
      for (const NaiveWait& wait : waits[action])
        if (!wait.output)
          expected.push_back({nodes[wait.producer], Time::zero()});
        else if (!wait.is_local)
          expected.push_back({nodes[wait.producer], graph.costs().message_time(*wait.output)});
      REQUIRE(edges_of(graph, nodes[action]) == expected);
    }
  }
}

TEST_CASE("An edge leads to a lower number") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    const DependencyGraph graph = random_graph(seed);
    REQUIRE(graph.first_edge().size() == graph.size() + std::size_t{1});
    CHECK(graph.first_edge().back() == graph.producer().size());
    CHECK(graph.lag().given().size() == graph.producer().size());
    for (NodeId node = 0; node < graph.size(); ++node)
      for (const Edge& edge : edges_of(graph, node))
        REQUIRE(edge.producer < node);
  }
}

TEST_CASE("Each node stands for one action with its rank and duration") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    const DependencyGraph graph = random_graph(seed);
    const Schedule& schedule = graph.schedule();
    const auto nodes = node_of_action(graph);
    REQUIRE(graph.size() == schedule.actions.size());
    for (Rank rank = 0; rank < schedule.placement.ranks; ++rank)
      for (std::size_t i = schedule.first_action[static_cast<std::size_t>(rank)];
           i < schedule.first_action[static_cast<std::size_t>(rank) + 1]; ++i) {
        REQUIRE(nodes[i] < graph.size());
        REQUIRE(graph.rank()[nodes[i]] == rank);
        REQUIRE(graph.action(nodes[i]) == schedule.actions[i]);
        REQUIRE(graph.duration()[nodes[i]] == graph.costs().duration(schedule.actions[i]));
      }
  }
}

TEST_CASE("Boost's topological order agrees that nothing waits in a circle") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    const DependencyGraph graph = random_graph(seed);
    REQUIRE(num_vertices(graph) == graph.size());
    std::vector<NodeId> order;
    CHECK_NOTHROW(boost::topological_sort(graph, std::back_inserter(order)));
    REQUIRE(order.size() == graph.size());
    std::vector<std::size_t> place(order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      place[order[i]] = i;
    for (NodeId node = 0; node < graph.size(); ++node)
      for (const Edge& edge : edges_of(graph, node))
        REQUIRE(place[edge.producer] < place[node]);
  }
}

TEST_CASE("Ideal messages make the same graph straight from the orders and over a program") {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const PostedProgram posted = post_messages(random_schedule(engine), Comm::Ideal);
    const CostModel costs(random_costs(engine, posted.schedule.placement),
                          posted.schedule.placement, {});
    const DependencyGraph straight = build_graph(posted, costs);
    const DependencyGraph over_program = build_graph(lower(posted), costs);
    REQUIRE(over_program.messages().empty());
    REQUIRE(std::ranges::equal(straight.action_index(), over_program.action_index()));
    for (NodeId node = 0; node < straight.size(); ++node)
      REQUIRE(edges_of(straight, node) == edges_of(over_program, node));
  }
}

TEST_CASE("A hop within a rank makes no edge") {
  const Schedule alone =
      written(loop_placement({.ranks = 1, .chunks = 2}), 1, {"0F0 1F0 1I0 0I0 1W0 0W0"});
  CHECK(free_graph(alone).producer().size() == 5);  // each after the one before it
  const Schedule two =
      written(loop_placement({.ranks = 2, .chunks = 1}), 1, {"0F0 0B0", "1F0 1B0"});
  CHECK(free_graph(two).producer().size() == 4);  // and one message each way
}

TEST_CASE("A pair has an edge for each of its inputs") {
  const Schedule schedule =
      written(bidirectional_placement(2), 2, {"0F0 (3F1;0B0)OVERLAP_F_B 3B1", "2F1 1F0 1B0 2B1"});
  const DependencyGraph graph = free_graph(schedule);
  CHECK(graph.producer().size() == 5 + 4);  // the orders, and four messages
  CHECK(edges_of(graph, node_of_action(graph)[1]).size() == 3);
}

TEST_CASE("Graphviz shows messages as dashed arrows") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 1, {"0F0 0I0 0W0", "1F0 1B0"});
  const std::string dot = to_dot(free_graph(schedule));
  CHECK(dot.starts_with("digraph"));
  CHECK(count(dot, "style=dashed") == 2);
  CHECK(count(dot, "->") == 3 + 2);
  for (const char* label : {"\"0F0\"", "\"1F0\"", "\"1B0\"", "\"0I0\"", "\"0W0\""})
    CHECK(count(dot, label) == 1);
}

}  // namespace bubblescope

// Ranks on nodes: what messages take by hand under each lowering, contended and not, and where a
// network is refused.
#include "sim/costs/network.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "analysis/figures/noise_report.h"
#include "analysis/figures/report.h"
#include "backend_cuda/replay/plan.h"
#include "sim/costs/cost_file.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

constexpr Comm kAll[] = {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch};
constexpr double kGB = 1e9;  // a byte a nanosecond

/// F takes 10, B 20, a message has `bytes`.
CostSource costs_on(const Network& network, Bytes bytes) {
  return {.name = "test",
          .stages = {{.forward = Time(10),
                      .input_grad = Time(10),
                      .weight_grad = Time(10),
                      .message = bytes}},
          .network = network};
}

struct Run {
  DependencyGraph graph;
  Report figures;
};

Run run(const Schedule& schedule, const CostSource& costs, Comm comm,
        std::optional<Channels> channels = {}) {
  PostedProgram program = post_messages(schedule, comm);
  program.channels = channels.value_or(program.channels);
  DependencyGraph graph = build_graph(std::move(program), {costs, schedule.placement, {}});
  Report figures = report(graph, simulate(graph));
  return {std::move(graph), std::move(figures)};
}

/// Of the links, each as "bytes busy contention", by name.
std::vector<std::string> told(const Report& figures) {
  std::vector<std::string> lines;
  for (const LinkReport& link : figures.links)
    lines.push_back(fmt::format("{}: {} {} {}", link_name(link.link), link.bytes, link.busy.count(),
                                link.contention.count()));
  return lines;
}

/// Two ranks, two pipes in opposite directions: all that happens, happens on both at once.
Schedule crossing_two() {
  return written(bidirectional_placement(2), 2, {"0F0 3F1 3B1 0B0", "2F1 1F0 1B0 2B1"});
}

/// The same of four ranks.
Schedule crossing_four() {
  return written(bidirectional_placement(4), 2,
                 {"0F0 7F1 7B1 0B0", "1F0 6F1 6B1 1B0", "5F1 2F0 2B0 5B1", "4F1 3F0 3B0 4B1"});
}

/// Torch's two ranks of a pair would take turns.
std::optional<Channels> apart(Comm comm) {
  return comm == Comm::Torch ? std::optional(Channels::PerDirection) : std::nullopt;
}

}  // namespace

TEST_CASE("Within a node both directions divide the NVLink domain") {
  const Network network{
      .ranks_per_node = 2,
      .intra_node = {.message = {.latency = Time(5)}, .shared_bytes_per_second = kGB}};
  for (const Comm comm : kAll) {
    CAPTURE(to_string(comm));
    // F until 10, latency until 15, two messages of 1000 bytes until 2015; F and B until 2045, the
    // gradients until 4050, B.
    const Run contended = run(crossing_two(), costs_on(network, 1000), comm, apart(comm));
    CHECK(contended.figures.step_time == Time(4070));
    CHECK(told(contended.figures) == std::vector<std::string>{"node 0 NVLink: 4000 4000 4000"});
  }
}

TEST_CASE("A message that cannot have more than its share loses nothing") {
  const Network network{
      .ranks_per_node = 2,
      .intra_node = {.message = {Time(5), 0.5 * kGB}, .shared_bytes_per_second = kGB}};
  for (const Comm comm : kAll) {
    CAPTURE(to_string(comm));
    const Run alone = run(crossing_two(), costs_on(network, 1000), comm, apart(comm));
    CHECK(alone.figures.step_time == Time(4070));
    CHECK(told(alone.figures) == std::vector<std::string>{"node 0 NVLink: 4000 4000 0"});
  }
}

TEST_CASE("A NIC has its rate in each direction") {
  const Network network{
      .ranks_per_node = 1,
      .inter_node = {.message = {.latency = Time(5)}, .shared_bytes_per_second = kGB}};
  for (const Comm comm : kAll) {
    CAPTURE(to_string(comm));
    const Run alone = run(crossing_two(), costs_on(network, 1000), comm, apart(comm));
    CHECK(alone.figures.step_time == Time(2070));
    CHECK(told(alone.figures) ==
          std::vector<std::string>{"node 0 NIC out: 2000 2000 0", "node 0 NIC in: 2000 2000 0",
                                   "node 1 NIC out: 2000 2000 0", "node 1 NIC in: 2000 2000 0"});
  }
}

TEST_CASE("Two messages to other nodes divide a NIC; those within a node go their own way") {
  // 0 → 1 and 3 → 2 leave node 0 together; 1 → 2 and 2 → 1 stay within node 1 and take 1.
  const Network network{
      .node_of_rank = {0, 1, 1, 0},
      .intra_node = {.message = {.latency = Time(1)}},
      .inter_node = {.message = {.latency = Time(5)}, .shared_bytes_per_second = kGB}};
  for (const Comm comm : kAll) {
    CAPTURE(to_string(comm));
    // F 10, message 2005, F 10, within the node 1, F 10, message 2005, F and B 30, and back:
    // message 2005, B 20, 1, B 20, message 2005, B 20.
    const Run contended = run(crossing_four(), costs_on(network, 1000), comm, apart(comm));
    CHECK(contended.figures.step_time == Time(8142));
    CHECK(told(contended.figures) == std::vector<std::string>{"node 0 NIC out: 4000 4000 4000",
                                                              "node 0 NIC in: 4000 4000 4000",
                                                              "node 1 NIC out: 4000 4000 4000",
                                                              "node 1 NIC in: 4000 4000 4000"});
  }
}

TEST_CASE("Messages of one rank contend where they may overtake: ideal, and not in a stream") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 2, {"0F0 0F1 0B0 0B1", "1F0 1F1 1B0 1B1"});
  const Network network{
      .ranks_per_node = 1,
      .inter_node = {.message = {.latency = Time(5)}, .shared_bytes_per_second = kGB}};
  // Ideal: the first flows from 15, the second from 25: 10 bytes alone, then halves until 205, then
  // the other's last 10 until 215. F and B until 245 and 265; gradients from 250 and 270 until 430
  // and 450.
  const Run ideal = run(schedule, costs_on(network, 100), Comm::Ideal);
  CHECK(ideal.figures.step_time == Time(470));
  CHECK(told(ideal.figures) ==
        std::vector<std::string>{"node 0 NIC out: 200 200 180", "node 0 NIC in: 200 200 160",
                                 "node 1 NIC out: 200 200 160", "node 1 NIC in: 200 200 180"});
  const auto& idle = ideal.figures.per_rank[0].idle_by_cause;
  CHECK(idle[static_cast<std::size_t>(BubbleCause::Dependency)] == Time(225));
  CHECK(idle[static_cast<std::size_t>(BubbleCause::Message)] == Time(105));
  CHECK(idle[static_cast<std::size_t>(BubbleCause::Contention)] == Time(430 - 245 - 105));
  // A stream: until 115, then from 115 until 220; gradients until 355 and 460.
  const Run stream = run(schedule, costs_on(network, 100), Comm::Stream);
  CHECK(stream.figures.step_time == Time(480));
  for (const LinkReport& link : stream.figures.links)
    CHECK(link.contention == Time(0));
}

TEST_CASE("With noise, messages contend anew, and the critical path goes back along them") {
  const Network network{
      .ranks_per_node = 2,
      .intra_node = {.message = {.latency = Time(5)}, .shared_bytes_per_second = kGB}};
  Run contended = run(crossing_two(), costs_on(network, 1000), Comm::Ideal);
  const NoiseReport noise =
      study_noise(contended.graph, {.noise = {.stragglers = {{1, 3.0}}}, .samples = 2});
  // Rank 0's message flows from 15, rank 1's from 35: 20 bytes alone, halves until 1995, and the
  // other's last 20 until 2015. Rank 1 has F and B until 2085, rank 0 until 2045; gradients from
  // 2050 and 2090: 40 alone, halves until 4010, 40 until 4050; B until 4070 on both.
  CHECK(noise.step_time.mean == 4070);
  CHECK(noise.step_time.max == 4070);
  CHECK(noise.critical_share[0] == doctest::Approx(30.0 / 4070));
  CHECK(noise.critical_share[1] == doctest::Approx(90.0 / 4070));
}

TEST_CASE("Without shared links a network is two kinds of link") {
  const Network network{.ranks_per_node = 2,
                        .intra_node = {.message = {.latency = Time(1)}},
                        .inter_node = {.message = {Time(5), kGB}}};
  const Schedule schedule =
      written(loop_placement({.ranks = 3, .chunks = 1}), 1, {"0F0 0B0", "1F0 1B0", "2F0 2B0"});
  for (const Comm comm : kAll) {
    CAPTURE(to_string(comm));
    const Run result = run(schedule, costs_on(network, 100), comm);
    CHECK(result.figures.step_time == Time(3 * 30 + 2 * (1 + 105)));
    CHECK(result.figures.links.empty());
    CHECK(simulate(result.graph, Engine::Events).spans == simulate(result.graph).spans);
  }
}

namespace {

Network random_network(std::mt19937_64& engine, const Placement& placement, double shared) {
  const auto link = [&] {
    return NetworkLink{{Time(draw(engine, {0, 20})), kGB * draw_int(engine, {0, 4}) / 2},
                       draw_chance(engine, 70) ? shared : 0};
  };
  Network network{.intra_node = link(), .inter_node = link()};
  const int nodes = draw_int(engine, {1, placement.ranks});
  if (draw_chance(engine, 50))
    network.ranks_per_node = draw_int(engine, {1, placement.ranks});
  else
    for (Rank rank = 0; rank < placement.ranks; ++rank)
      network.node_of_rank.push_back(rank < nodes ? rank : draw_int(engine, {0, nodes - 1}));
  return network;
}

DependencyGraph random_graph(std::mt19937_64& engine, Comm comm, double shared) {
  const Schedule schedule = random_schedule(engine);
  CostSource costs = random_costs(engine, schedule.placement);
  for (StageCost& stage : costs.stages)
    stage.message = draw(engine, {0, 100});
  costs.network = random_network(engine, schedule.placement, shared);
  return build_graph(post_messages(schedule, comm), {costs, schedule.placement, {}});
}

}  // namespace

TEST_CASE("On links so wide that nothing contends, events give the Timeline of the sweep") {
  for (std::uint64_t seed = 0; seed < 300; ++seed)
    for (const Comm comm : kAll) {
      CAPTURE(seed);
      CAPTURE(to_string(comm));
      std::mt19937_64 engine(seed);
      const DependencyGraph graph = random_graph(engine, comm, 1e15);
      const Timeline swept = simulate(graph, Engine::Sweep);
      const Timeline events = simulate(graph, Engine::Events);
      REQUIRE(swept.spans == events.spans);
      CHECK(simulate(graph).spans == events.spans);
      for (EdgeId edge = 0; edge < events.arrivals.size(); ++edge)
        CHECK(events.arrivals[edge] == swept.spans[graph.producer()[edge]].end + graph.lag()[edge]);
      for (const LinkReport& link : link_reports(graph, events))
        CHECK(link.contention == Time(0));
    }
}

TEST_CASE("Contention delays, deterministically, and no link carries more than it can") {
  for (std::uint64_t seed = 0; seed < 300; ++seed)
    for (const Comm comm : kAll) {
      CAPTURE(seed);
      CAPTURE(to_string(comm));
      std::mt19937_64 engine(seed);
      const DependencyGraph graph = random_graph(engine, comm, kGB);
      const Timeline swept = simulate(graph, Engine::Sweep);
      const Timeline events = simulate(graph);
      CHECK(events.spans == simulate(graph).spans);
      Time delay{};
      for (NodeId node = 0; node < graph.size(); ++node) {
        REQUIRE(events.spans[node].start >= swept.spans[node].start);
        REQUIRE(events.spans[node].length() >= graph.duration()[node]);
        delay += events.spans[node].end - swept.spans[node].end;
      }
      const Report figures = report(graph, events);
      Time contention{};
      Time waited{};
      for (const RankReport& rank : figures.per_rank) {
        waited += rank.idle;
        for (const Time cause : rank.idle_by_cause)
          waited -= cause;
        CHECK(rank.idle_by_cause[static_cast<std::size_t>(BubbleCause::Unknown)] == Time(0));
      }
      CHECK(waited == Time(0));
      for (const LinkReport& link : figures.links) {
        contention += link.contention;
        CHECK(link.bytes <= link.busy.count() + 10);  // a link has a byte a nanosecond
      }
      CHECK((contention > Time(0) || delay == Time(0)));
    }
}

namespace {

std::string with_network(const std::string& network, const std::string& more = "") {
  return R"({"format": "bubblescope-costs/1", "name": "n", "source": "s",
             "stage": {"forward_us": 1, "input_grad_us": 2, "weight_grad_us": 3},)" +
         more + "\"network\": " + network + "}";
}

std::string complaint(const std::string& network, const std::string& more = "") {
  return error_of([&] { parse_costs(with_network(network, more), "mine.json"); });
}

/// All but the nodes.
const std::string kLinks = R"("intra_node": {"latency_us": 1, "bandwidth_GBps": 200,
  "shared_GBps": 400}, "inter_node": {"latency_us": 5, "shared_GBps": 50}})";

}  // namespace

TEST_CASE("A cost file tells a network") {
  const CostSource source =
      parse_costs(with_network("{\"node_of_rank\": [0, 1, 1], " + kLinks), "mine.json");
  REQUIRE(source.network);
  CHECK(source.network->node_of_rank == std::vector<std::int32_t>{0, 1, 1});
  CHECK(source.network->intra_node.message.latency == Time(1000));
  CHECK(source.network->intra_node.message.bytes_per_second == 200e9);
  CHECK(source.network->intra_node.shared_bytes_per_second == 400e9);
  CHECK(source.network->inter_node.message.latency == Time(5000));
  CHECK(source.network->inter_node.message.bytes_per_second == 0);
  CHECK(source.network->inter_node.shared_bytes_per_second == 50e9);
  const Route route = source.network->route(0, 2);
  CHECK(route.alone.bytes_per_second == 50e9);
  CHECK(link_name(route.links[0]) == "node 0 NIC out");
  CHECK(link_name(route.links[1]) == "node 1 NIC in");
  CHECK(link_name(source.network->route(2, 1).links[0]) == "node 1 NVLink");
  CHECK(parse_costs(with_network("{\"ranks_per_node\": 8, " + kLinks), "").network->node(8) == 1);
}

TEST_CASE("A network that is none is told with its place") {
  const std::pair<std::string, std::string> cases[] = {
      {"{" + kLinks, "/network/node_of_rank: is missing, or \"ranks_per_node\" for equal nodes"},
      {"{\"ranks_per_node\": 2, \"node_of_rank\": [0], " + kLinks,
       "/network/node_of_rank: is given beside \"ranks_per_node\"; one of the two is expected"},
      {"{\"ranks_per_node\": 0, " + kLinks,
       "/network/ranks_per_node: expected a number of ranks, got 0"},
      {"{\"node_of_rank\": [], " + kLinks,
       "/network/node_of_rank: expected the node of each rank, got none"},
      {"{\"node_of_rank\": [0, 2, 2], " + kLinks,
       "/network/node_of_rank: has ranks on node 2, but none on node 1"},
      {"{\"node_of_rank\": [0, 7], " + kLinks,
       "/network/node_of_rank/1: expected a node below 2, the number of ranks, got 7"},
      {"{\"node_of_rank\": [0, -1], " + kLinks,
       "/network/node_of_rank/1: expected a number ≥ 0, got -1"},
      {"{\"ranks_per_node\": 2, \"intra_node\": {}}", "/network/inter_node: is missing"},
      {R"({"ranks_per_node": 2, "intra_node": {"shared_GBps": 0}, "inter_node": {}})",
       "/network/intra_node/shared_GBps: expected a number > 0; leave it out for an unlimited "
       "link"},
      {R"({"ranks_per_node": 2, "intra_node": {}, "inter_node": {"bandwidth_GBps": -1}})",
       "/network/inter_node/bandwidth_GBps: expected a number ≥ 0, got -1"},
      {R"({"ranks_per_node": 2, "intra_node": {}, "inter_node": {"shared_GBp": 1}})",
       "/network/inter_node/shared_GBp: unknown key; did you mean 'shared_GBps'?"}};
  for (const auto& [network, expected] : cases)
    CHECK(complaint(network) == "mine.json: " + expected);
  CHECK(complaint("{\"ranks_per_node\": 2, " + kLinks, "\"link\": {}, ") ==
        "mine.json: /network: is given beside \"link\"; one of the two is expected");
  const CostSource few =
      parse_costs(with_network("{\"node_of_rank\": [0, 1, 1], " + kLinks), "mine.json");
  CHECK(error_of([&] {
          CostModel(few, loop_placement({4, 1}), {});
        }) == "mine.json: /network/node_of_rank: places 3 ranks on nodes, and the schedule has 4");
  CHECK(error_of([&] {
          CostModel(few, loop_placement({2, 1}), {});
        }) == "mine.json: /network/node_of_rank: places 3 ranks on nodes, and the schedule has 2");
}

TEST_CASE("What divides links is not replayed as something else") {
  const Network network{.ranks_per_node = 1, .inter_node = {.shared_bytes_per_second = kGB}};
  const PostedProgram program = post_messages(crossing_two(), Comm::Stream);
  const CostModel costs(costs_on(network, 100), program.schedule.placement, {});
  CHECK(error_of([&] { make_plan(program, costs); }) ==
        "schedule mine: messages that divide shared links cannot be replayed: leave shared_GBps, "
        "--nic and --nvlink out");
}

}  // namespace bubblescope

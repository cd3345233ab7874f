// What is measured of a machine, and what a simulation becomes with it.
#include "backend_cuda/replay/profile.h"

#include <cmath>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/figures/report.h"
#include "backend_cuda/host/host_executor.h"
#include "backend_cuda/replay/calibrate.h"
#include "sim/base/error.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

using std::chrono::microseconds;

Profile some_profile() {
  Profile profile{.backend = "cuda",
                  .created = "2026-01-02T03:04:05Z",
                  .command = "bubblescope calibrate",
                  .machine = {{"device", "a GPU"}, {"clock", "1980 MHz"}},
                  .ranks = 4,
                  .options = {.workload = Workload::Tensors, .shape = {.blocks = 2}},
                  .p2p = Time(900),
                  .noise = 0.001};
  int next = 1;
  for (LaunchGaps& gaps : profile.gaps) {
    gaps = {Time(next), Time(next + 1), Time(next + 2), Time(next + 3)};
    next += 4;
  }
  const MeasuredLink link = fit_link({{4096, Time(6000)}, {1 << 20, Time(30'000)}});
  profile.links = MeasuredLinks{.node_of_rank = {0, 0, 1, 1},
                                .same_node = link,
                                .across = link,
                                .replicas = 2,
                                .all_to_all = link};
  profile.contention = {{.max_ctas = 4, .slowdown = 1.02}, {.max_ctas = 32, .slowdown = 1.31}};
  const StageCost stage{.forward = Time(1000),
                        .input_grad = Time(900),
                        .weight_grad = Time(800),
                        .backward = Time(1650)};
  profile.stages = {
      {.blocks = 2, .first = stage, .middle = stage, .last = stage, .slowdown = {1.5, 2, 3, 4}}};
  return profile;
}

DependencyGraph graph_with(Comm comm, const CostSource& costs) {
  Schedule schedule = make_schedule(*find_schedule("1f1b"), {4, 8});
  const CostModel model(costs, schedule.placement, {.per = CostPer::OneStage});
  return build_graph(post_messages(std::move(schedule), comm), model);
}

Time step_time(const DependencyGraph& graph, const Timeline& timeline) {
  return report(graph, timeline).step_time;
}

TEST_CASE("a profile is read as it was written") {
  const std::string text = profile_json(some_profile());
  const Profile read = parse_profile(text, "p.json");
  CHECK(profile_json(read) == text);
  CHECK(read.machine.front().second == "a GPU");
}

TEST_CASE("a profile that is not one is refused with the place") {
  const auto refused = [](std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    return error_of([&] { parse_profile(text, "p.json"); });
  };
  const std::string text = profile_json(some_profile());
  CHECK(refused(text, "bubblescope-profile/1", "x") ==
        "p.json: /format: expected \"bubblescope-profile/1\", got \"x\"");
  CHECK(refused(text, "action_to_action_ns", "action_to_action") ==
        "p.json: /gaps/ideal/action_to_action_ns: is missing");
  CHECK(refused(text, "\"graph\"", "\"graphs\"") ==
        "p.json: /options/launch: expected \"graph\" or \"streams\", got \"graphs\"");
  CHECK(refused(text, "\"partitions\": true", "\"partitions\": 1") ==
        "p.json: /options/partitions: expected true or false, got 1");
  CHECK(refused(text, "\"device\"", "\"devise\"") == "p.json: /machine: \"device\" is missing");
  CHECK(refused(text, "\"noise\"", "\"noises\"") == "p.json: /noise: is missing");
}

TEST_CASE("costs come out of a profile by blocks, for its number of ranks alone") {
  const Profile profile = some_profile();
  const CostSource costs = costs_of(profile, loop_placement({4, 1}), 2);
  CHECK(costs.stages.size() == 4);
  CHECK(costs.stages[1].backward == Time(1650));
  CHECK(costs.stages[1].message == 2 * 8 * 16);  // of bf16, where links were measured
  CHECK(costs.network->node(2) == 1);
  CHECK(error_of([&] {
          costs_of(profile, loop_placement({4, 1}), 3);
        }) == "the profile has no times for stages of 3 blocks: calibrate for them");
  CHECK(error_of([&] {
          costs_of(profile, loop_placement({8, 1}), 2);
        }) == "the profile was measured with 4 ranks, and the schedule has 8");
}

TEST_CASE("a machine with other partitions than those measured is told") {
  const MachineFacts split = {{"device", "GPU"}, {"partitions", "16 SMs for each rank"}};
  const MachineFacts shared = {{"device", "GPU"}, {"partitions", "none: ranks share all SMs"}};
  const MachineFacts lost = {{"device", "GPU"}, {"partitions", "none, ranks share all SMs: why"}};
  CHECK_FALSE(other_partitions(split, split));
  CHECK_FALSE(other_partitions(shared, lost));
  CHECK_FALSE(other_partitions(shared, {{"device", "host"}}));
  CHECK(other_partitions(split, lost) == "16 SMs for each rank then, no partitions of the SMs now");
  CHECK(other_partitions(split, {{"partitions", "32 SMs for each rank"}}) ==
        "16 SMs for each rank then, 32 SMs for each rank now");
}

TEST_CASE("gaps lengthen a step by as many as stand on its critical path") {
  // 1F1B with F = I = W = 1000 and free messages: the critical path has m + p − 1 F and B, and
  // changes ranks 2·(p − 1) times.
  const CostSource costs = simple_costs({.forward = 1000, .input_grad = 500, .weight_grad = 500});
  Profile profile{.ranks = 4};
  profile.gaps[0] = {.action_to_action = Time(7), .message_to_action = Time(11)};
  DependencyGraph graph = graph_with(Comm::Ideal, costs);
  const Time plain = step_time(graph, simulate(graph));
  CHECK(plain == Time(2 * 11 * 1000));
  const Time with_gaps = step_time(graph, simulate_on(profile, graph, 1));
  CHECK(with_gaps > plain + Time(6 * 11));
  CHECK(with_gaps <= plain + Time(6 * 11 + 15 * 11));
  profile.action_overrun = Time(3);
  DependencyGraph again = graph_with(Comm::Ideal, costs);
  CHECK(step_time(again, simulate_on(profile, again, 1)) == with_gaps + Time(22 * 3));
}

TEST_CASE("actions are as much slower as other ranks work beside them") {
  Profile profile{.ranks = 2};
  profile.stages = {{.blocks = 1, .slowdown = {1.5, 1.5, 1.5, 1.5}}};
  // Two ranks that always work together but for the first F and the last B of rank 0.
  Schedule schedule = written(loop_placement({2, 1}), 2, {"0F0 0F1 0B0 0B1", "1F0 1F1 1B0 1B1"});
  const CostModel model(simple_costs({.forward = 1000}), schedule.placement, {});
  DependencyGraph graph = build_graph(post_messages(schedule, Comm::Ideal), model);
  const Timeline timeline = simulate_on(profile, graph, 1);
  std::vector<Time> lengths;
  for (NodeId node = 0; node < graph.size(); ++node)
    if (graph.action(node).op().kind() == OpKind::Forward)
      lengths.push_back(timeline.spans[node].length());
  CHECK(*std::min_element(lengths.begin(), lengths.end()) == Time(1000));
  CHECK(*std::max_element(lengths.begin(), lengths.end()) == Time(1500));
}

TEST_CASE("the host is calibrated in real time, with gaps and op times of its own") {
  const ExecutorMaker host = [](const Plan& plan, const ExecutorOptions& options) {
    return make_host_executor(plan, options);
  };
  const ExecutorOptions timed{.real_time = true};
  const Profile gaps =
      calibrate(host, {.ranks = 2, .options = timed, .action = microseconds(300), .repeats = 2});
  CHECK(gaps.stages.empty());
  CHECK(gaps.gaps[static_cast<std::size_t>(Comm::Stream)].message_to_action > Time::zero());
  const ExecutorOptions tensors{.workload = Workload::Tensors,
                                .shape = {.tokens = 4, .hidden = 8, .inner = 8, .blocks = 2},
                                .real_time = true};
  const Profile ops =
      calibrate(host, {.ranks = 2, .options = tensors, .chunks = {1, 2, 3}, .repeats = 2});
  REQUIRE(ops.stages.size() == 2);  // 3 does not divide the blocks
  CHECK(ops.stages[0].blocks == 2);
  CHECK(ops.stages[1].blocks == 1);
  CHECK(ops.stages[0].middle.forward > Time::zero());
  for (const double slowdown : ops.stages[0].slowdown)
    CHECK(slowdown >= 1);
  CHECK(profile_json(parse_profile(profile_json(ops), "p")) == profile_json(ops));
}

TEST_CASE("on the virtual clock there is nothing to calibrate") {
  const ExecutorMaker host = [](const Plan& plan, const ExecutorOptions& options) {
    return make_host_executor(plan, options);
  };
  const Profile profile = calibrate(host, {.ranks = 4, .repeats = 2});
  for (const LaunchGaps& gaps : profile.gaps) {
    CHECK(gaps.action_to_action == Time::zero());
    CHECK(gaps.action_to_message == Time::zero());
    CHECK(gaps.message_to_action == Time::zero());
    CHECK(gaps.message_overrun == Time::zero());
  }
  CHECK(profile.action_overrun == Time::zero());
  CHECK(profile.noise == 0);
}

TEST_CASE("A profile whose numbers cannot be is refused, with the place") {
  const nlohmann::json sound = nlohmann::json::parse(profile_json(some_profile()));
  const std::pair<const char*, double> wrong[] = {{"/options/inner", 0},
                                                  {"/options/tokens", 0},
                                                  {"/ranks", 0},
                                                  {"/stages/0/slowdown/forward", 1e300},
                                                  {"/stages/0/slowdown/forward", 0},
                                                  {"/links/node_of_rank/3", 4},
                                                  {"/links/replicas", 0},
                                                  {"/contention/1/max_ctas", 0},
                                                  {"/contention/1/slowdown", 0.5},
                                                  {"/noise", 1e300}};
  for (const auto& [place, value] : wrong) {
    nlohmann::json profile = sound;
    profile[nlohmann::json::json_pointer(place)] = value;
    CAPTURE(place);
    try {
      parse_profile(profile.dump(), "p.json");
      FAIL("it was accepted");
    } catch (const Error& error) {
      CHECK(std::string(error.what()).starts_with(std::string("p.json: ") + place + ": expected"));
    }
  }
}

}  // namespace
}  // namespace bubblescope

// Costs from measured steps: what was put into a run comes out of it.
#include "analysis/calibration/measured_costs.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/calibration/primus_dump.h"
#include "analysis/views/calibration_view.h"
#include "sim/base/error.h"
#include "sim/costs/cost_file.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/command.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

PostedProgram program_of(const char* name, const Shape& shape) {
  return post_messages(*find_schedule(name), shape, Comm::Ideal);
}

/// What the machine of these tests takes: each stage of its own, in ns.
CostSource truth(int stages, Time hop) {
  CostSource costs{.name = "truth", .stage_by_stage = true, .link = {.latency = hop}};
  for (int stage = 0; stage < stages; ++stage) {
    StageCost cost;
    cost.forward = Time(57'000'000 + 1'000'123 * stage);
    cost.backward = Time(70'000'001 + 500'000 * (stages - stage));
    costs.stages.push_back(cost);
  }
  return costs;
}

double ms(Time time) {
  return static_cast<double>(time.count()) / 1e6;
}

/// Dumps of a run with those costs; `change` may alter an iteration of a rank, in ms.
struct Dump {
  int ranks, microbatches, chunks, iterations;
  Time hop{};
  /// Makes an action of iteration 2 so much longer: rank 1's first.
  Time stall{};

  PostedProgram program() const {
    return program_of(chunks > 1 ? "interleaved-1f1b" : "1f1b",
                      {.ranks = ranks, .microbatches = microbatches, .chunks = chunks});
  }

  json rank_json(const DependencyGraph& graph, const Timeline& timeline, Rank rank) const {
    json out = {{"total", 1.5}, {"memory", 2.5}};
    for (const char* key : {"fwd_start", "fwd_end", "bwd_start", "bwd_end"})
      out[key] = json::array();
    const Schedule& schedule = graph.schedule();
    for (std::size_t i = 0; i < schedule.order(rank).size(); ++i)
      for (NodeId node = 0; node < graph.size(); ++node)
        if (graph.action_index()[node] ==
            schedule.first_action[static_cast<std::size_t>(rank)] + i) {
          const std::string pass =
              graph.action(node).op().kind() == OpKind::Forward ? "fwd" : "bwd";
          out[pass + "_start"].push_back(ms(timeline.spans[node].start));
          out[pass + "_end"].push_back(ms(timeline.spans[node].end));
        }
    return out;
  }

  /// [rank] what its file has.
  std::vector<json> files() const {
    const PostedProgram order = program();
    const CostModel costs(truth(ranks * chunks, hop), order.schedule.placement, {});
    std::vector<json> out(static_cast<std::size_t>(ranks));
    for (int iteration = 1; iteration <= iterations; ++iteration) {
      DependencyGraph graph = build_graph(order, costs);
      if (iteration == 2)
        for (NodeId node = 0; node < graph.size(); ++node)
          if (graph.action_index()[node] == order.schedule.first_action[1])
            graph.duration()[node] += stall;
      const Timeline timeline = simulate(graph);
      for (Rank rank = 0; rank < ranks; ++rank)
        out[static_cast<std::size_t>(rank)][std::to_string(iteration)] =
            rank_json(graph, timeline, rank);
    }
    return out;
  }

  json config() const {
    return {{"pp_size", ranks}, {"vp_size", chunks}, {"num_mbs", microbatches}};
  }
};

std::vector<std::string> write(const TemporaryFolder& folder, const Dump& dump,
                               const std::vector<json>& files) {
  folder.write("config.json", dump.config().dump());
  std::vector<std::string> paths;
  for (std::size_t rank = 0; rank < files.size(); ++rank) {
    const std::string name = fmt::format("pp_rank_{}.json", rank);
    folder.write(name, files[rank].dump());
    paths.push_back((folder / name).string());
  }
  return paths;
}

MeasuredRun run_of(const std::vector<std::string>& paths, PostedProgram program) {
  const RunProfile profile = profile_of(read_primus(paths), program.schedule);
  return lay_over(profile, std::move(program));
}

MeasuredCosts costs_of(const Dump& dump) {
  const TemporaryFolder folder;
  return measure_costs(run_of(write(folder, dump, dump.files()), dump.program()));
}

/// What is said of a dump of 2 ranks, 3 micro-batches and 2 iterations that `change` alters.
std::string complaint(const std::function<void(std::vector<json>&, json&)>& change) {
  const Dump dump{.ranks = 2, .microbatches = 3, .chunks = 1, .iterations = 2};
  const TemporaryFolder folder;
  std::vector<json> files = dump.files();
  json config = dump.config();
  change(files, config);
  const auto paths = write(folder, dump, files);
  folder.write("config.json", config.dump());
  try {
    measure_costs(run_of(paths, dump.program()));
  } catch (const Error& error) {
    std::string what = error.what();
    for (auto at = what.find(folder.path().string()); at != what.npos;
         at = what.find(folder.path().string()))
      what.erase(at, folder.path().string().size() + 1);
    return what;
  }
  return "";
}

}  // namespace

TEST_CASE("durations and latency that a run was made with come out of its dumps") {
  for (const Dump& dump :
       {Dump{.ranks = 4, .microbatches = 6, .chunks = 1, .iterations = 3, .hop = Time(1'250'000)},
        Dump{.ranks = 4, .microbatches = 8, .chunks = 2, .iterations = 3, .hop = Time(777'000)},
        Dump{.ranks = 3, .microbatches = 5, .chunks = 1, .iterations = 1}}) {
    const MeasuredCosts costs = costs_of(dump);
    const CostSource expected = truth(dump.ranks * dump.chunks, dump.hop);
    REQUIRE(costs.costs.stages.size() == expected.stages.size());
    for (std::size_t stage = 0; stage < expected.stages.size(); ++stage) {
      CHECK(costs.costs.stages[stage].forward == expected.stages[stage].forward);
      CHECK(costs.costs.stages[stage].backward == expected.stages[stage].backward);
    }
    CHECK(costs.costs.link.latency == dump.hop);
    CHECK(costs.hop_by_actions == dump.hop);
    CHECK(costs.by_costs == costs.measured);
    CHECK(costs.left_out.size() == (dump.iterations > 1 ? 1 : 0));
    CHECK(costs.is_backward_split);
    for (const DurationFigures& each : costs.durations) {
      CHECK(each.outliers == 0);
      CHECK(each.q1 == each.q3);
      CHECK(each.count == static_cast<std::size_t>(dump.microbatches) * costs.steps.size());
    }
    for (const StepReplay& step : costs.steps) {
      CHECK_FALSE(step.is_outlier);
      CHECK(step.by_actions == step.by_means);
      CHECK((step.error_by_actions() < 0) == (dump.hop > Time::zero()));
    }
  }
}

TEST_CASE("what is out of the ordinary is named, and does not move the medians") {
  const Dump dump{.ranks = 4,
                  .microbatches = 6,
                  .chunks = 1,
                  .iterations = 6,
                  .hop = Time(1'000'000),
                  .stall = Time(300'000'000)};
  const MeasuredCosts costs = costs_of(dump);
  CHECK(costs.costs.stages[1].forward == truth(4, dump.hop).stages[1].forward);
  CHECK(costs.costs.link.latency == dump.hop);
  REQUIRE(costs.steps.size() == 5);
  for (const StepReplay& step : costs.steps)
    CHECK(step.is_outlier == (step.name == "iteration 2"));
  const auto& figures = costs.durations[2];  // stage 1, F
  CHECK(figures.outliers == 1);
  CHECK(figures.farthest_place == "iteration 2, 1F0");
  CHECK(figures.farthest == truth(4, dump.hop).stages[1].forward + dump.stall);
  const std::string view = calibration_view(costs, {Format::Table, Color::Off});
  CHECK(has(view, "outlying steps: iteration 2 (+"));
  CHECK(has(view, "left out, as warm-up: iteration 1"));
  CHECK(has(view, "358.000 ms  iteration 2, 1F0"));
  const json shown = json::parse(calibration_view(costs, {Format::Json, Color::Off}));
  CHECK(shown["outlying_steps"] == json{"iteration 2"});
  CHECK(shown["latency_ns"] == 1'000'000);
  CHECK(shown["per_step"].size() == 5);
}

TEST_CASE("a cost file that is written reads as what was written") {
  CostSource source = truth(3, Time(1'234'567));
  source.description = "a test";
  source.ranks = 3;
  source.layers_per_stage = 2.5;
  source.link.bytes_per_second = 5e10;
  StageCost& stage = source.stages[1];
  stage.input_grad = Time(12'345);
  stage.weight_grad = Time(1);
  stage.overlapped = Time(99'999'999'999);
  stage.exposed_forward = Time(7);
  stage.activation = 1000;
  stage.activation_after_input_grad = 10;
  stage.weights = 20;
  stage.message = 4096;
  const std::string text = costs_text(source, {{"_derivation", {{"by", "hand"}}}});
  const CostSource back = parse_costs(text, "c.json");
  CHECK(costs_text(back, {{"_derivation", {{"by", "hand"}}}}) == text);
  CHECK(back.stages[1].overlapped == stage.overlapped);
  CHECK(back.stages[2].forward == source.stages[2].forward);
  CHECK(back.link.latency == source.link.latency);
  CHECK(back.stages[1].message == 4096);
  source = {.name = "one", .stages = {stage}};
  CHECK_FALSE(parse_costs(costs_text(source, json::object()), "c.json").stage_by_stage);
}

TEST_CASE("what is wrong in a dump is told with file and place") {
  using Files = std::vector<json>;
  CHECK(complaint([](Files&, json&) {}) == "");
  CHECK(complaint([](Files& files, json&) { files.pop_back(); }) ==
        "config.json: /pp_size: says 2 ranks, and there is no pp_rank_1.json");
  CHECK(complaint([](Files&, json& config) { config["pp_size"] = 1; }) ==
        "config.json: /pp_size: says 1 ranks, and there is pp_rank_1.json");
  CHECK(complaint([](Files&, json& config) { config.erase("num_mbs"); }) ==
        "config.json: /num_mbs: is missing");
  CHECK(complaint([](Files&, json& config) { config["vp_size"] = 0; }) ==
        "config.json: /vp_size: expected a number from 1 to 1048576, got 0");
  CHECK(complaint([](Files& files, json&) { files[1].erase("2"); }) ==
        "pp_rank_1.json: has iterations 1, and pp_rank_0.json has 1, 2");
  CHECK(complaint([](Files& files, json&) { files[1] = json::object(); }) ==
        "pp_rank_1.json: expected an object with iterations, got nothing in it");
  CHECK(complaint([](Files& files, json&) { files[1]["x"] = 1; }) ==
        "pp_rank_1.json: /x: expected the number of an iteration");
  CHECK(complaint([](Files& files, json&) { files[1]["1"]["fwd_end"].erase(0); }) ==
        "pp_rank_1.json: /1/fwd_end: expected 3 times, one a micro-batch and chunk, got 2");
  CHECK(complaint([](Files& files, json&) { files[1]["1"].erase("bwd_start"); }) ==
        "pp_rank_1.json: /1/bwd_start: is missing");
  CHECK(complaint([](Files& files, json&) { files[1]["1"]["bwd_start"][2] = nullptr; }) ==
        "pp_rank_1.json: /1/bwd_start/2: expected a time in ms, got null");
  CHECK(complaint([](Files& files, json&) { files[1]["1"]["bwd_start"][2] = -1; }) ==
        "pp_rank_1.json: /1/bwd_start/2: expected a time in ms, got -1");
  CHECK(complaint([](Files& files, json&) { files[1]["2"]["fwd_end"][2] = 0; }) ==
        "pp_rank_1.json: /2/fwd_end/2: comes before its start");
  CHECK(complaint([](Files& files, json&) { files[1]["2"]["fwd_start"][2] = 0; }) ==
        "pp_rank_1.json: /2/fwd_start/2: goes backwards: the one before starts later");
  CHECK(complaint([](Files& files, json&) {
          for (json& start : files[0]["2"]["bwd_start"])
            start = 1;
        }) ==
        "Primus dumps,  iteration 2, rank 0: 0B0 starts before 0F1, which comes first in 1f1b");
  CHECK(complaint([](Files& files, json&) {
          files[0]["2"]["fwd_end"][1] = files[0]["2"]["bwd_start"][0].get<double>() + 0.5;
        }) ==
        "Primus dumps,  iteration 2, rank 0: 0B0 starts before 0F1 has ended: a rank runs one "
        "after another");
  const Dump dump{.ranks = 2, .microbatches = 3, .chunks = 1, .iterations = 2};
  const TemporaryFolder folder;
  auto paths = write(folder, dump, dump.files());
  folder.write("pp_rank_1.json", dump.files()[1].dump().substr(0, 200));
  CHECK_THROWS_WITH_AS(read_primus(paths), doctest::Contains("pp_rank_1.json: parse error"), Error);
  folder.write("pp_rank_1.json", R"({"1": {"fwd_start": [NaN]}})");
  CHECK_THROWS_WITH_AS(read_primus(paths), doctest::Contains("line 1, column"), Error);
  paths.push_back(paths.front());
  CHECK_THROWS_WITH_AS(read_primus(paths), doctest::Contains("rank 0 is given twice"), Error);
}

TEST_CASE("a dump that names chunks and micro-batches is taken at its word") {
  const Dump dump{.ranks = 2, .microbatches = 4, .chunks = 2, .iterations = 2};
  const TemporaryFolder folder;
  std::vector<json> files = dump.files();
  const PostedProgram program = dump.program();
  for (Rank rank = 0; rank < 2; ++rank)
    for (auto& [number, iteration] : files[static_cast<std::size_t>(rank)].items())
      for (const Action& action : program.schedule.order(rank)) {
        const std::string pass = action.op().kind() == OpKind::Forward ? "fwd" : "bwd";
        iteration[pass + "_chunk"].push_back(action.op().stage() / 2);
        iteration[pass + "_minibatch"].push_back(action.op().microbatch());
      }
  CHECK(measure_costs(run_of(write(folder, dump, files), dump.program())).steps.size() == 1);
  std::swap(files[0]["2"]["fwd_minibatch"][0], files[0]["2"]["fwd_minibatch"][1]);
  CHECK_THROWS_WITH_AS(run_of(write(folder, dump, files), dump.program()),
                       doctest::Contains("iteration 2, rank 0: 0F1 starts before 0F0"), Error);
  files[0]["2"]["fwd_chunk"][0] = 2;
  CHECK_THROWS_WITH_AS(run_of(write(folder, dump, files), dump.program()),
                       doctest::Contains("chunk 2: a rank of interleaved-1f1b holds 2"), Error);
}

TEST_CASE("a real 1F1B run of Primus is given back by a simulation of its own durations") {
  const auto folder = reference("primus-1f1b");
  if (folder.empty())
    return;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path().string());
  const MeasuredCosts costs =
      measure_costs(run_of(paths, program_of("1f1b", {.ranks = 8, .microbatches = 16})));
  CHECK(costs.left_out == std::vector<std::string>{"iteration 1"});
  CHECK(costs.steps.size() == 19);
  CHECK(std::abs(costs.error_by_actions) <= 0.011);
  CHECK(std::abs(costs.error_by_means) <= 0.025);
  CHECK(std::abs(costs.error_by_medians()) <= 0.025);
  CHECK(std::abs(costs.error_by_costs()) <= 1e-6);
  CHECK(costs.hop_by_actions > Time(0));
  std::vector<std::string> outlying;
  for (const StepReplay& step : costs.steps)
    if (step.is_outlier)
      outlying.push_back(step.name);
  CHECK(outlying == std::vector<std::string>{"iteration 16", "iteration 18"});
}

}  // namespace bubblescope

// What actions do inside, computed by hand, one rule a test; and the pair that DeepSeek traced.
#include "sim/costs/phases.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/costs/cost_file.h"
#include "sim/costs/cost_model.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr OpKind kF = OpKind::Forward;
constexpr OpKind kI = OpKind::BackwardInput;
constexpr OpKind kW = OpKind::BackwardWeight;
constexpr OpKind kB = OpKind::Backward;
constexpr PhaseStream kCompute = PhaseStream::Compute;
constexpr PhaseStream kExpert = PhaseStream::Expert;
constexpr PhaseStream kTensor = PhaseStream::Tensor;

/// Layers that are all alike; `ns` has a time for each phase.
LayerPhases layers(std::vector<Phase> phases, const std::vector<int>& ns, int count = 1) {
  LayerPhases stage{.phases = std::move(phases)};
  for (int layer = 0; layer < count; ++layer)
    for (const int each : ns)
      stage.times.push_back({Time(each), Time(each)});
  return stage;
}

/// "attn(F) 0-4", a phase a line, as launched.
std::string text(const LayerPhases& stage, const PhaseRun& run) {
  std::string text;
  for (const PhaseSpan& span : run.spans)
    text += stage.phases[span.phase].name + " " + std::to_string(span.start.count()) + "-" +
            std::to_string(span.end.count()) + "\n";
  return text;
}

/// A forward of two phases and a backward of two and a W, as DeepSeek launches them.
std::vector<Phase> small() {
  return {{.name = "combine(B)", .of = kI, .stream = kExpert},
          {.name = "attn(F)", .of = kF, .stream = kCompute},
          {.name = "mlp(B)", .of = kI, .stream = kCompute},
          {.name = "dispatch(F)", .of = kF, .stream = kExpert},
          {.name = "mlp(W)", .of = kW, .stream = kCompute, .after = 2}};
}

/// A compute phase of F beside a communication phase of I that holds 2 of 10 SMs.
LayerPhases contended(Slowdown slowdown, std::vector<int> ns) {
  LayerPhases stage =
      layers({{.name = "combine(B)", .of = kI, .stream = kExpert, .sms = 2},
              {.name = "attn(F)", .of = kF, .stream = kCompute, .slowdown = std::move(slowdown)}},
             ns);
  stage.sms = 10;
  return stage;
}

CostSource deepseek() {
  return read_costs(source_file("data/costs/deepseek-v3-h800.json").string());
}

void check_close(double value, double expected, double within) {
  CAPTURE(value);
  CAPTURE(expected);
  CHECK(std::abs(value - expected) <= within);
}

double percent(Time part, Time whole) {
  return 100 * static_cast<double>(part.count()) / static_cast<double>(whole.count());
}

}  // namespace

TEST_CASE("Outside a pair phases follow one another and communication is exposed") {
  const LayerPhases stage = layers(small(), {3, 5, 7, 11, 13}, 2);
  const PhaseRun forward = run_phases(stage, kF);
  CHECK(text(stage, forward) ==
        "attn(F) 0-5\ndispatch(F) 5-16\nattn(F) 16-21\ndispatch(F) 21-32\n");
  CHECK(forward.length == Time(32));
  CHECK(forward.exposed() == Time(22));
  CHECK(run_phases(stage, kI).length == Time(20));
  CHECK(run_phases(stage, kI).exposed() == Time(6));
  CHECK(run_phases(stage, kW).length == Time(26));
  CHECK(run_phases(stage, kW).exposed() == Time(0));
}

TEST_CASE("A full backward hides communication behind W, and walks the layers down") {
  LayerPhases stage = layers(small(), {3, 5, 7, 11, 13}, 2);
  stage.times[1 * 5 + 2] = {Time(8), Time(8)};  // mlp(B) of the upper layer
  const PhaseRun run = run_phases(stage, kB);
  CHECK(
      text(stage, run) ==
      "combine(B) 0-3\nmlp(B) 3-11\nmlp(W) 11-24\ncombine(B) 11-14\nmlp(B) 24-31\nmlp(W) 31-44\n");
  CHECK(run.spans.front().layer == 1);
  CHECK(run.exposed() == Time(3));
  CHECK(run.overlap == Time(3));
}

TEST_CASE("In a pair each stream takes what was launched first and waits for what it needs") {
  const LayerPhases stage = layers(small(), {3, 5, 7, 11, 13});
  const PhaseRun run = run_pair(stage, stage);
  CHECK(text(stage, run) ==
        "combine(B) 0-3\nattn(F) 0-5\nmlp(B) 5-12\ndispatch(F) 5-16\nmlp(W) 12-25\n");
  CHECK(run.length == Time(25));
  CHECK(run.compute == Time(25));
  CHECK(run.communication == Time(14));
  CHECK(run.overlap == Time(14));
}

TEST_CASE("Of a pair's stages the longer one's last layers run alone") {
  const std::vector<int> ns = {3, 5, 7, 11, 13};
  const PhaseRun run = run_pair(layers(small(), ns, 2), layers(small(), ns, 1));
  CHECK(text(layers(small(), ns), run) ==
        "combine(B) 0-3\nattn(F) 0-5\nmlp(B) 5-12\ndispatch(F) 5-16\nmlp(W) 12-25\n"
        "attn(F) 25-30\ndispatch(F) 30-41\n");
}

TEST_CASE("A layer without a phase goes on with what it has") {
  const LayerPhases stage = layers(small(), {0, 5, 7, 0, 13}, 2);
  CHECK(text(stage, run_phases(stage, kF)) == "attn(F) 0-5\nattn(F) 5-10\n");
  CHECK(text(stage, run_phases(stage, kB)) ==
        "mlp(B) 0-7\nmlp(W) 7-20\nmlp(B) 20-27\nmlp(W) 27-40\n");
}

TEST_CASE("A collective of tensor parallelism takes its turn with computation") {
  std::vector<Phase> phases = small();
  phases[3].stream = kTensor;
  const LayerPhases stage = layers(phases, {3, 5, 7, 11, 13});
  const PhaseRun run = run_pair(stage, stage);
  CHECK(text(stage, run) ==
        "combine(B) 0-3\nattn(F) 0-5\nmlp(B) 5-12\ndispatch(F) 12-23\nmlp(W) 23-36\n");
  CHECK(run.exposed() == Time(11));
}

TEST_CASE("Kernels with gaps hide and expose by their shares") {
  LayerPhases stage = layers({{.name = "combine(B)", .of = kI, .stream = kExpert},
                              {.name = "attn(F)", .of = kF, .stream = kCompute}},
                             {100, 200});
  stage.times[0].busy = Time(50);
  stage.times[1].busy = Time(150);
  const PhaseRun run = run_pair(stage, stage);
  CHECK(run.communication == Time(50));
  CHECK(run.compute == Time(150));
  CHECK(run.overlap == Time(38));  // 100 · ½ · ¾, rounded
}

TEST_CASE("Computation is slowed by what holds SMs beside it, only as long as that lasts") {
  const auto end_of = [](Slowdown slowdown, std::vector<int> ns) {
    const LayerPhases stage = contended(std::move(slowdown), std::move(ns));
    return run_pair(stage, stage).spans[1].end.count();
  };
  using Kind = Slowdown::Kind;
  const Slowdown shared{.kind = Kind::Shared};  // 10/8
  CHECK(end_of(shared, {1000, 800}) == 1000);
  CHECK(end_of(shared, {500, 800}) == 900);  // 500 of it do the work of 400
  CHECK(end_of({}, {500, 800}) == 800);
  const Slowdown one_wave{.kind = Kind::Waves, .blocks = 10};  // ⌈10/8⌉ / ⌈10/10⌉ = 2
  CHECK(end_of(one_wave, {1000, 400}) == 800);
  CHECK(end_of(one_wave, {400, 400}) == 600);
  const Slowdown many_waves{.kind = Kind::Waves, .blocks = 35};  // ⌈35/8⌉ / ⌈35/10⌉ = 5/4
  CHECK(end_of(many_waves, {1000, 400}) == 500);
  CHECK(end_of({.kind = Kind::Factor, .factor = 1.5}, {300, 400}) == 500);
  CHECK(end_of({.kind = Kind::Table, .table = {{4, 2.0}}}, {600, 400}) == 600);  // 1.5 at 2 SMs
}

TEST_CASE("Slowdowns follow their tables, and stay at the last row") {
  const Slowdown slowdown{.kind = Slowdown::Kind::Table, .table = {{8, 1.2}, {16, 2.0}}};
  CHECK(slowdown.at(0, 132) == doctest::Approx(1.0));
  CHECK(slowdown.at(4, 132) == doctest::Approx(1.1));
  CHECK(slowdown.at(8, 132) == doctest::Approx(1.2));
  CHECK(slowdown.at(12, 132) == doctest::Approx(1.6));
  CHECK(slowdown.at(32, 132) == doctest::Approx(2.0));
  CHECK(Slowdown{.kind = Slowdown::Kind::Factor, .factor = 3}.at(0, 132) == 1);
}

TEST_CASE("Pairs of random phases end as a longest path through all their launches does") {
  std::mt19937 random(20261124);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    std::vector<Phase> phases;
    std::vector<int> inputs;
    for (int i = 0; i < 8; ++i) {
      Phase phase{.name = std::to_string(i),
                  .of = static_cast<OpKind>(random() % 3),
                  .stream = static_cast<PhaseStream>(random() % 3)};
      if (phase.of == kI)
        inputs.push_back(i);
      if (phase.of == kW && !inputs.empty())
        phase.after = inputs[random() % inputs.size()];
      phases.push_back(phase);
    }
    std::vector<int> ns;
    for (int i = 0; i < 8; ++i)
      ns.push_back(static_cast<int>(1 + random() % 100));
    const LayerPhases stage = layers(phases, ns, 3);
    const PhaseRun run = run_pair(stage, stage);
    REQUIRE(run.spans.size() == 24);
    std::map<std::string, std::int64_t> ends;  // of chains and streams
    std::int64_t last = 0;
    for (const PhaseSpan& span : run.spans) {
      const Phase& phase = phases[span.phase];
      const std::string stream = phase.stream == kExpert ? "expert" : "compute";
      const std::string layer = std::to_string(span.layer) + ":";
      const std::string chain = phase.of == kF ? "F" : phase.of == kI ? "I" : "none";
      const std::string input =
          phase.after == Phase::kNone ? "none" : layer + std::to_string(phase.after);
      const std::int64_t start = std::max({ends[stream], ends[chain], ends[input]});
      CHECK(span.start.count() == start);
      const std::int64_t end = start + ns[span.phase];
      CHECK(span.end.count() == end);
      ends[stream] = end;
      if (chain != "none")
        ends[chain] = end;
      if (phase.of == kI)
        ends[layer + phase.name] = end;
      last = std::max(last, end);
    }
    CHECK(run.length.count() == last);
  }
}

TEST_CASE("Phases tell ops and pairs of a cost model, divided over chunks") {
  CostSource source{.name = "mine", .stages = {StageCost{}}};
  source.stages[0].phases = layers(small(), {3, 5, 7, 11, 13}, 4);
  source.stages[0].timed_by_phases = true;
  const CostModel whole(source, bidirectional_placement(2), {});
  const Op forward(kF, 0, 0);
  const Op backward(kB, 3, 1);
  CHECK(whole.duration(forward) == Time(64));
  CHECK(whole.exposed_communication(forward) == Time(44));
  const PhaseRun pair = run_pair(source.stages[0].phases, source.stages[0].phases);
  CHECK(whole.duration(Action(forward, backward)) == pair.length);
  CHECK(whole.exposed_communication(Action(forward, backward)) == pair.exposed());
  const CostModel halves(source, v_placement(2), {});
  CHECK(halves.duration(forward) == Time(32));
  const CostModel sum(source, bidirectional_placement(2), {.overlap = Overlap::Sum});
  CHECK(sum.duration(Action(forward, backward)) ==
        whole.duration(forward) + whole.duration(backward));
  CHECK_THROWS_WITH_AS(CostModel(source, loop_placement({.ranks = 2, .chunks = 3}), {}),
                       "mine: the 4 layers of a rank cannot be divided over 3 chunks", Error);
}

TEST_CASE("DeepSeek's traced pair comes out from its phases, layer by layer") {
  const LayerPhases stage = deepseek().stages[0].phases;
  CHECK(stage.measured_under_overlap);
  const PhaseRun run = run_pair(stage, stage);
  check_close(percent(run.length, Time(129'012'000)), 100, 1);
  check_close(percent(run.overlap, run.communication), 96.32, 1);
}

TEST_CASE("DeepSeek's traced pair comes out from the mean layer") {
  LayerPhases stage = deepseek().stages[0].phases;
  const std::size_t phases = stage.phases.size();
  for (std::size_t phase = 0; phase < phases; ++phase) {
    PhaseTime sum;
    for (std::size_t layer = 0; layer < stage.layers(); ++layer) {
      sum.elapsed += stage.time(layer, phase).elapsed;
      sum.busy += stage.time(layer, phase).busy;
    }
    for (std::size_t layer = 0; layer < stage.layers(); ++layer)
      stage.times[layer * phases + phase] = {sum.elapsed / 4, sum.busy / 4};
  }
  const PhaseRun run = run_pair(stage, stage);
  check_close(percent(run.length, Time(129'012'000)), 100, 2);
  check_close(percent(run.overlap, run.communication), 96.32, 1.5);
}

TEST_CASE("DeepSeek's phases are those of the published trace") {
  const auto file = reference("traces/deepseek-train-phases.json");
  if (file.empty())
    return;
  const json trace = json::parse(contents(file));
  const LayerPhases stage = deepseek().stages[0].phases;
  CHECK(stage.phases.size() == trace["phases"].size());
  for (std::size_t i = 0; i < stage.phases.size(); ++i) {
    const Phase& phase = stage.phases[i];
    CAPTURE(phase.name);
    for (std::size_t layer = 0; layer < stage.layers(); ++layer) {
      const json& told = trace["phases"][phase.name]["layers"]
                              [phase.of == kF ? layer : stage.layers() - 1 - layer];
      CHECK(stage.time(layer, i).elapsed == std::chrono::microseconds(told["elapsed"]));
      CHECK(stage.time(layer, i).busy == std::chrono::microseconds(told["busy"]));
    }
  }
}

TEST_CASE("Phases of a cost file are read, and what is wrong is named with its place") {
  const auto costs = [](const std::string& stage) {
    return parse_costs(
        R"({"format": "bubblescope-costs/1", "name": "x", "source": "y", "stage": {)" + stage +
            "}}",
        "x.json");
  };
  const auto phase = [](const std::string& rest) {
    return R"("layers": 2, "sms": 132, "phases": [
        {"name": "c", "of": "I", "stream": "expert", "elapsed_us": 3, "sms": 20, "sent_bytes": 7},
        {"name": "a", "of": "F", "stream": "compute", "elapsed_us": [1, 2], "busy_us": 1)" +
           rest + "}]";
  };
  const CostSource source =
      costs(phase(R"(, "slowdown": {"kind": "table", "table": [{"sms": 20, "factor": 1.3}]})"));
  const LayerPhases& read = source.stages[0].phases;
  CHECK(source.stages[0].timed_by_phases);
  CHECK(read.layers() == 2);
  CHECK(read.time(1, 1).elapsed == std::chrono::microseconds(2));
  CHECK(read.time(1, 1).busy == std::chrono::microseconds(1));
  CHECK(read.phases[0].sms == 20);
  CHECK(read.phases[0].sent == 7);
  CHECK(read.phases[1].slowdown.at(20, 132) == doctest::Approx(1.3));
  const auto fault = [&](const std::string& stage) {
    try {
      costs(stage);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  CHECK(
      fault(phase(R"(, "after": "c")")) ==
      "x.json: /stage/phases/1/after: is for a phase of W: those of F and of I follow one another");
  CHECK(fault(phase(R"(, "slowdown": {"kind": "waves"})")) ==
        "x.json: /stage/phases/1/slowdown/blocks: is missing");
  CHECK(fault(phase(R"(, "slowdown": {"kind": "wave"})")) ==
        "x.json: /stage/phases/1/slowdown/kind: expected none, shared, waves, factor, table, got "
        "\"wave\"; did you mean 'waves'?");
  CHECK(fault(phase(R"(, "sms": 3)")) ==
        "x.json: /stage/phases/1/sms: is for a phase that communicates");
  CHECK(fault(phase(R"(, "sent_bytes": 3)")) ==
        "x.json: /stage/phases/1/sent_bytes: is for a phase that communicates among experts");
  CHECK(fault(R"("layers": 3)") == "x.json: /stage/layers: needs \"phases\" beside it");
  CHECK(fault(phase("") + R"(, "backward_us": 3)")
            .starts_with("x.json: /stage/backward_us: needs forward_us beside it"));
  CHECK(fault(R"("layers": 1, "phases": [{"name": "a", "of": "F", "stream": "expert",
                  "elapsed_us": 1, "busy_us": 2}])") ==
        "x.json: /stage/phases/0/busy_us: is more than elapsed_us in layer 0");
  CHECK(fault(R"("layers": 3, "phases": [{"name": "a", "of": "F", "stream": "expert",
                  "elapsed_us": [1, 2]}])") ==
        "x.json: /stage/phases/0/elapsed_us: expected one number, or 3, got 2");
  CHECK(fault(R"("layers": 1, "measured_under_overlap": true, "phases": [
                  {"name": "a", "of": "F", "stream": "expert", "elapsed_us": 1, "sms": 20}])")
            .starts_with("x.json: /stage/phases/0/sms: needs the machine's \"sms\""));
  const auto weight_grad = [](const std::string& after) {
    return R"("layers": 1, "phases": [{"name": "w", "of": "W", "stream": "compute", "after": ")" +
           after + R"(", "elapsed_us": 1}])";
  };
  for (const std::string after : {"w", "a"})
    CHECK(fault(weight_grad(after)) == "x.json: /stage/phases/0/after: there is no phase \"" +
                                           after + "\" of I before this one");
}

TEST_CASE("A cost file has a million times of phases at most, in all its stages") {
  const auto stage = [](int layers, int phases) {
    json made = {{"layers", layers}};
    for (int i = 0; i < phases; ++i)
      made["phases"].push_back({{"name", "f" + std::to_string(i)},
                                {"of", "F"},
                                {"stream", "compute"},
                                {"elapsed_us", 1}});
    return made;
  };
  const auto read = [](const json& stages) {
    const json costs = {
        {"format", "bubblescope-costs/1"}, {"name", "x"}, {"source", "y"}, {"stages", stages}};
    return parse_costs(costs.dump(), "x.json");
  };
  CHECK(read(json::array({stage(100'000, 10)})).stages[0].phases.times.size() == 1'000'000);
  CHECK(read(json::array({stage(1, 10'000)})).stages[0].phases.phases.size() == 10'000);
  const std::pair<json, const char*> wrong[] = {
      {json::array({stage(100'000, 11)}), "x.json: /stages/0/layers: 100000 layers of 11 phases: "},
      {json::array({stage(50'000, 10), stage(50'001, 10)}),
       "x.json: /stages/1/layers: 50001 layers of 10 phases: "}};
  for (const auto& [stages, told] : wrong)
    CHECK_THROWS_WITH_AS(
        read(stages),
        (told + std::string("expected 1000000 times in all stages of a file at most")).c_str(),
        Error);
  json twice = stage(1, 3);
  twice["phases"][2]["name"] = "f0";
  CHECK_THROWS_WITH_AS(read(json::array({twice})),
                       "x.json: /stages/0/phases/2/name: there is a phase \"f0\" already", Error);
}

}  // namespace bubblescope

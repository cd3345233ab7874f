// Steps that differ: what is drawn, what comes of it, and who hurts.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/figures/noise_report.h"
#include "sim/base/error.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/command.h"
#include "tests/support/costs.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr int kRanks = 4;

DependencyGraph graph(std::int64_t op_ns = 1'000'000) {
  PostedProgram program =
      post_messages(*find_schedule("1f1b"), {.ranks = kRanks, .microbatches = 12}, Comm::Stream);
  CostModel costs(simple_costs({op_ns, op_ns, op_ns, -1, 1000}), program.schedule.placement, {});
  return build_graph(std::move(program), std::move(costs));
}

std::vector<Time> draw(const DependencyGraph& graph, const Noise& noise, std::uint64_t seed = 1,
                       std::uint64_t sample = 0) {
  std::vector<Time> noisy(graph.size());
  draw_durations(graph, graph.duration(), noise, seed, sample, noisy);
  return noisy;
}

/// Factors of all actions over many samples.
std::vector<double> factors(const Noise& noise) {
  const DependencyGraph calm = graph();
  std::vector<double> factors;
  for (std::uint64_t sample = 0; sample < 500; ++sample) {
    const std::vector<Time> noisy = draw(calm, noise, 1, sample);
    for (NodeId node = 0; node < calm.size(); ++node)
      if (!calm.is_message(node))
        factors.push_back(static_cast<double>(noisy[node].count()) /
                          static_cast<double>(calm.duration()[node].count()));
  }
  return factors;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  const double average = mean(values);
  double sum = 0;
  for (const double value : values)
    sum += (value - average) * (value - average);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

}  // namespace

TEST_CASE("Without noise durations stay, and a straggler's are multiplied") {
  const DependencyGraph calm = graph();
  CHECK(draw(calm, {}) == std::vector<Time>(calm.duration().begin(), calm.duration().end()));
  const std::vector<Time> noisy = draw(calm, {.stragglers = {{2, 1.5}}});
  for (NodeId node = 0; node < calm.size(); ++node) {
    const bool is_slow = !calm.is_message(node) && calm.rank()[node] == 2;
    CHECK(noisy[node] == (is_slow ? calm.duration()[node] * 3 / 2 : calm.duration()[node]));
  }
}

TEST_CASE("Jitter has the mean and the spread that it is asked for") {
  const std::vector<double> drawn = factors({.jitter = 0.1});
  CHECK(mean(drawn) == doctest::Approx(1).epsilon(0.002));
  CHECK(deviation(drawn) == doctest::Approx(0.1).epsilon(0.02));
  const std::vector<double> of_ranks = factors({.rank_jitter = 0.2});
  CHECK(mean(of_ranks) == doctest::Approx(1).epsilon(0.02));
  CHECK(deviation(of_ranks) == doctest::Approx(0.2).epsilon(0.05));
  CHECK(mean(factors({.hiccup_share = 0.1, .hiccup_factor = 3})) ==
        doctest::Approx(1.2).epsilon(0.02));
  CHECK(mean(factors({.measured = {0.5, 1, 3}})) == doctest::Approx(1.5).epsilon(0.02));
}

TEST_CASE("A rank's jitter is one draw a step") {
  const DependencyGraph calm = graph();
  const std::vector<Time> noisy = draw(calm, {.rank_jitter = 0.2});
  std::vector<double> of_rank(kRanks, 0);
  for (NodeId node = 0; node < calm.size(); ++node) {
    if (calm.is_message(node))
      continue;
    const double factor = static_cast<double>(noisy[node].count()) /
                          static_cast<double>(calm.duration()[node].count());
    double& known = of_rank[static_cast<std::size_t>(calm.rank()[node])];
    if (known == 0)
      known = factor;
    CHECK(factor == doctest::Approx(known).epsilon(1e-5));
  }
  CHECK(of_rank[0] != of_rank[1]);
}

TEST_CASE("Draws are those of their seed and sample, the same on every machine") {
  const DependencyGraph calm = graph();
  const Noise noise{.jitter = 0.1};
  CHECK(draw(calm, noise, 1, 5) == draw(calm, noise, 1, 5));
  CHECK(draw(calm, noise, 1, 5) != draw(calm, noise, 1, 6));
  CHECK(draw(calm, noise, 1, 5) != draw(calm, noise, 2, 5));
  CHECK(draw(calm, noise)[0] == Time(983'545));
}

TEST_CASE("Percentiles are the least values that so many do not pass") {
  std::vector<double> values(100);
  std::iota(values.rbegin(), values.rend(), 1.0);
  const Percentiles found = percentiles(values);
  CHECK(found.mean == 50.5);
  CHECK(found.p5 == 5);
  CHECK(found.p50 == 50);
  CHECK(found.p95 == 95);
  CHECK(found.p99 == 99);
  CHECK(found.max == 100);
  CHECK(percentiles({7}).p5 == 7);
  CHECK(percentiles({7}).p99 == 7);
}

TEST_CASE("A step with noise is as long as one that is simulated with its durations") {
  DependencyGraph noisy = graph();
  const NoiseOptions options{.noise = {.jitter = 0.1}, .seed = 3, .samples = 1};
  const NoiseReport report = study_noise(noisy, options);
  const DependencyGraph calm = graph();
  CHECK(std::equal(calm.duration().begin(), calm.duration().end(), noisy.duration().begin()));
  const std::vector<Time> drawn = draw(calm, options.noise, options.seed);
  std::copy(drawn.begin(), drawn.end(), noisy.duration().begin());
  Time last{};
  for (const Span& span : simulate(noisy).spans)
    last = std::max(last, span.end);
  CHECK(report.step_time.max == static_cast<double>(last.count()));
  CHECK(report.step_time.mean == report.step_time.p5);
}

TEST_CASE("The rank that is slow is the one that hurts") {
  DependencyGraph each = graph();
  for (Rank slow = 0; slow < kRanks; ++slow) {
    const NoiseReport report =
        study_noise(each, {.noise = {.jitter = 0.02, .stragglers = {{slow, 1.5}}}, .samples = 50});
    const auto& share = report.critical_share;
    CHECK(std::max_element(share.begin(), share.end()) - share.begin() == slow);
    CHECK(std::accumulate(share.begin(), share.end(), 0.0) <= 1.0 + 1e-9);
    // One percent off the slow rank takes its share off the step.
    const NoiseReport faster = study_noise(
        each, {.noise = {.jitter = 0.02, .stragglers = {{slow, 1.5 * 0.999}}}, .samples = 50});
    const double saved = 1 - faster.step_time.mean / report.step_time.mean;
    CHECK(saved == doctest::Approx(0.001 * share[static_cast<std::size_t>(slow)]).epsilon(0.02));
  }
}

TEST_CASE("Noise goes on into the iteration, which ends a reduction and an update after the step") {
  const std::string line =
      "simulate 1f1b -p 2 -m 4 --forward 1ms --input-grad 1ms --weight-grad 1ms --jitter 5% "
      "--samples 20 ";
  const std::string update = "--grad-reduce 300us --optimizer 200us ";
  const json noise = json::parse(output(line + update + "--format json"))["noise"];
  for (const char* figure : {"mean", "p5", "p50", "p95", "p99", "max"})
    CHECK(noise["iteration_time_ns"][figure].get<double>() ==
          doctest::Approx(noise["step_time_ns"][figure].get<double>() + 500'000).epsilon(1e-12));
  const std::string table = output(line + update);  // in the table of all figures, and of noise
  CHECK(table.find("\niteration  ") != table.rfind("\niteration  "));
  CHECK(json::parse(output(line + "--format json"))["noise"]["iteration_time_ns"] == nullptr);
}

TEST_CASE("Noise that no Time could hold is refused") {
  DependencyGraph slow = graph(1'000'000'000'000'000);
  CHECK_THROWS_AS(study_noise(slow, {.noise = {.stragglers = {{0, 1000}}}, .samples = 1}), Error);
}

TEST_CASE("simulate with noise tells percentiles and wrong words") {
  const std::string line =
      "simulate 1f1b -p 2 -m 4 --forward 1ms --input-grad 1ms --weight-grad 1ms ";
  const json report = json::parse(output(line + "--format json --jitter 5% --samples 10 --seed 3"));
  CHECK(report["noise"]["samples"] == 10);
  CHECK(report["noise"]["step_time_ns"]["p95"] >= report["noise"]["step_time_ns"]["p50"]);
  CHECK(report["noise"]["critical_share"].size() == 2);
  CHECK(report == json::parse(output(line + "--format json --jitter 5 --samples 10 --seed 3")));
  CHECK_FALSE(json::parse(output(line + "--format json")).contains("noise"));
  CHECK_FALSE(json::parse(output(line + "--format json --jitter 0")).contains("noise"));
  for (const auto& [options, words] :
       {std::pair("--samples 3", "--samples needs noise"),
        {"--straggler 2=1.5", "--straggler: there are ranks 0 to 1, got 2"},
        {"--straggler 1=x",
         "--straggler: expected RANK=FACTOR, such as 3=1.2, with a factor above 0, at most 1000, "
         "got '1=x'"},
        {"--straggler 1=1e300", "with a factor above 0, at most 1000, got '1=1e300'"},
        {"--straggler 1=0", "with a factor above 0, at most 1000, got '1=0'"},
        {"--straggler 1=2,", "--straggler: expected no empty value"},
        {"--hiccups 5%=0", "with a factor above 0, at most 1000, got '5%=0'"},
        {"--hiccups 1%=-1", "with a factor above 0, at most 1000, got '1%=-1'"},
        {"--straggler 1=2,1=3", "--straggler: rank 1 is given twice"},
        {"--hiccups 3", "--hiccups: expected PERCENT=FACTOR, such as 1%=3, with a factor above 0"},
        {"--jitter 200", "--jitter: expected at most 100 %"},
        {"--jitter 0.05", "--jitter: '0.05' may mean 0.05% or 5%: add the % sign"},
        {"--rank-jitter .5", "--rank-jitter: '.5' may mean .5% or 50%"},
        {"--hiccups 0.01=3", "--hiccups: '0.01' may mean 0.01% or 1%"},
        {"--jitter 5 --samples 0", "--samples: expected a whole number"}}) {
    const ProcessResult result = run(line + options);
    CAPTURE(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find(words) != std::string::npos);
  }
  const ProcessResult missing = run(line + "--noise-factors none.txt");
  CHECK(missing.exit_code == 3);
}

TEST_CASE("compare ranks by the median of the same samples that simulate draws") {
  const std::string rest =
      " -p 4 -m 8 --forward 1ms --input-grad 1ms --weight-grad 1ms --optimizer 1ms --straggler "
      "2=1.3 --jitter 5% --samples 20 --seed 7";
  const json compared =
      json::parse(output("compare --format json --schedules 1f1b,zb-h1,dualpipev" + rest));
  double last = 0;
  for (const json& result : compared["results"]) {
    const double median = result["noise"]["iteration_time_ns"]["p50"];
    CHECK(last <= median);
    last = median;
    const std::string name = result["schedule"];
    CHECK(result["noise"] ==
          json::parse(output("simulate " + name + " --format json" + rest))["noise"]);
  }
  CHECK(compared["results"].size() == 3);
  const std::string shape = "compare -p 4 -m 8 --forward 1ms --input-grad 1ms --weight-grad 1ms ";
  CHECK(run(shape + "--straggler 4=2").exit_code == 2);
  const ProcessResult varied = run(shape + "--vary p2p=0:1ms --jitter 5%");
  CHECK(varied.exit_code == 2);
  CHECK(varied.err.find("--vary compares steps without noise") != std::string::npos);
}

}  // namespace bubblescope

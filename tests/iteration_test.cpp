// What follows the last backward, computed by hand.
#include "analysis/figures/iteration.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/command.h"
#include "tests/support/costs.h"

namespace bubblescope {
namespace {

using nlohmann::json;

/// F = I = W = 10 ns, no messages; a rank's reduction takes 12 ns, its optimizer 7.
IterationReport iteration(const char* name, Shape shape, IterationOptions options, int layers = 0) {
  PostedProgram program = post_messages(*find_schedule(name), shape, Comm::Ideal);
  CostSource source = simple_costs({.forward = 10, .input_grad = 10, .weight_grad = 10});
  source.stages[0].grad_reduce = Time(12);
  source.stages[0].optimizer = Time(7);
  if (layers > 0) {  // which say how many buckets there are, and no times
    source.stages[0].phases.phases = {{.name = "all(F)", .of = OpKind::Forward, .stream = {}}};
    source.stages[0].phases.times.resize(static_cast<std::size_t>(layers));
  }
  CostModel costs(source, program.schedule.placement, {});
  const DependencyGraph graph = build_graph(std::move(program), std::move(costs));
  return *end_iteration(graph, simulate(graph), options);
}

constexpr Shape kShape = {.ranks = 2, .microbatches = 2};

}  // namespace

TEST_CASE("After the last action a rank reduces, and the optimizer waits for all ranks") {
  // 1F1B: rank 1 runs F0 B0 F1 B1 from 10 to 70, rank 0 from 0 to 90.
  const IterationReport report = iteration("1f1b", kShape, {});
  CHECK(report.per_rank[1].reduced == Time(82));
  CHECK(report.per_rank[0].reduced == Time(102));
  CHECK(report.per_rank[1].optimized == Time(109));
  CHECK(report.time == Time(109));
  CHECK(report.exposed_reduce == Time(12));
}

TEST_CASE("Without the global wait each rank updates at once and an iteration is a rank's own") {
  const IterationReport report = iteration("1f1b", kShape, {.sync = OptimizerSync::None});
  CHECK(report.per_rank[1].optimized == Time(89));
  CHECK(report.time == Time(109));  // rank 0: from 0 to 90 + 12 + 7
}

TEST_CASE("Overlapped reductions of a rank's chunks take turns beside its actions") {
  // Of four stages on two ranks, a rank has the last backward of a rank's upper chunk earlier.
  const IterationReport after = iteration("interleaved-1f1b", {2, 2, 2}, {});
  const IterationReport beside =
      iteration("interleaved-1f1b", {2, 2, 2}, {.reduce = GradReduce::Overlapped});
  CHECK(after.exposed_reduce == Time(12));
  CHECK(beside.exposed_reduce == Time(6));  // of the lower chunk alone
  CHECK(after.time - beside.time == Time(6));
}

TEST_CASE("Overlapped reductions begin when the first layer has its gradients") {
  const IterationOptions overlapped = {.reduce = GradReduce::Overlapped};
  // 1F1B's last backward on rank 0 is from 70 to 90; of four layers the first is done at 75, so
  // that 12 ns of reduction would end at 87, but the last layer's part takes 3 ns from 90 on.
  CHECK(iteration("1f1b", kShape, overlapped).exposed_reduce == Time(12));
  CHECK(iteration("1f1b", kShape, overlapped, 4).exposed_reduce == Time(3));
  CHECK(iteration("1f1b", kShape, overlapped, 2).exposed_reduce == Time(6));
  CHECK(iteration("1f1b", kShape, {}, 4).exposed_reduce == Time(12));
}

TEST_CASE("Gradients of weights that two pipes share are reduced once both have them") {
  const IterationReport report =
      iteration("dualpipe", {.ranks = 2, .microbatches = 4}, {.sync = OptimizerSync::None});
  CHECK(report.per_rank[0].reduced == report.per_rank[1].reduced);
}

TEST_CASE("simulate and compare tell the iteration where costs tell what follows the step") {
  const std::string costs =
      " -p 2 -m 2 --forward 10ms --input-grad 10ms --weight-grad 10ms --grad-reduce 12ms "
      "--optimizer 7ms --format json";
  const json one = json::parse(output("simulate 1f1b" + costs));
  CHECK(one["iteration_time_ns"] == 109'000'000);
  CHECK(one["exposed_grad_reduce_ns"] == 12'000'000);
  CHECK(has(output("simulate 1f1b -p 2 -m 2 --forward 1ms --input-grad 1ms --weight-grad 1ms "
                   "--optimizer 7ms"),
            "iteration"));
  const json many = json::parse(output("compare --schedules gpipe,1f1b" + costs));
  CHECK(has(many["verdict"], "109.000 ms an iteration"));
  const ProcessResult wrong = run("simulate 1f1b --reduce later" + costs);
  CHECK(wrong.exit_code == 2);
  CHECK(has(wrong.err, "--reduce: expected after|overlapped, got 'later'"));
}

}  // namespace bubblescope

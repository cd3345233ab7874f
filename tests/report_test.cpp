// The figures of a run, computed by hand.
#include "analysis/figures/report.h"

#include <doctest/doctest.h>

#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"
#include "tests/support/generated.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

Report run(const Schedule& schedule, const CostSource& costs) {
  const DependencyGraph graph = graph_of(schedule, costs);
  return report(graph, simulate(graph));
}

/// F = 10 + 2, I = 20 + 3, W = 5, hop = 1; activations of 100 bytes, weights of 1,000.
CostSource by_hand() {
  CostSource costs = simple_costs({.forward = 10, .input_grad = 20, .weight_grad = 5, .hop = 1});
  StageCost& stage = costs.stages[0];
  stage.exposed_forward = Time(2);
  stage.exposed_input_grad = Time(3);
  stage.activation = 100;
  stage.weights = 1000;
  return costs;
}

std::vector<Bytes> peak_memory(const Report& report) {
  std::vector<Bytes> bytes;
  for (const RankReport& rank : report.per_rank)
    bytes.push_back(rank.peak_memory().value_or(-1));
  return bytes;
}

}  // namespace

// Rank 0:  F0 0–12, F1 12–24, B0 54–82, B1 94–122
// Rank 1:  F0 13–25, B0 25–53, F1 53–65, B1 65–93
TEST_CASE("1F1B on two ranks by hand") {
  const Report figures = run(make_schedule(*find_schedule("1f1b"), {2, 2}), by_hand());
  CHECK(figures.schedule == "1f1b");
  CHECK(figures.ranks == 2);
  CHECK(figures.microbatches == 2);
  CHECK(figures.chunks == 1);
  CHECK(figures.comm == Comm::Ideal);
  CHECK(figures.step_time == Time(122));
  CHECK(figures.bubble_fraction == doctest::Approx(84.0 / 244).epsilon(1e-15));
  CHECK(figures.bubble_overhead == doctest::Approx(84.0 / 160).epsilon(1e-15));
  CHECK(figures.span_bubble == doctest::Approx(42.0 / 122).epsilon(1e-15));
  CHECK(figures.peak_live_activations == 2);
  CHECK(figures.peak_activation_share == 2);
  CHECK(figures.peak_memory == 1200);
  CHECK(figures.weight_copies == 1);
  REQUIRE(figures.per_rank.size() == 2);
  const int spans[] = {122, 80};
  for (const RankReport& rank : figures.per_rank) {
    CHECK(&rank == &figures.per_rank[static_cast<std::size_t>(rank.rank)]);
    CHECK(rank.busy == Time(80));
    CHECK(rank.idle == Time(42));
    CHECK(rank.span == Time(spans[rank.rank]));
    CHECK(rank.exposed_comm == Time(10));
    CHECK(rank.peak_live_activations == 2 - rank.rank);
  }
  CHECK(peak_memory(figures) == std::vector<Bytes>{1200, 1100});
}

// Rank 1 of ZB-H1 runs F0 I0 F1 I1 W0 W1: with 40 bytes left after I, 140 at most.
TEST_CASE("Activations that shrink at I count what is left of them until W") {
  CostSource costs = by_hand();
  const Schedule schedule = make_schedule(*find_schedule("zb-h1-paper"), {2, 2});
  CHECK(peak_memory(run(schedule, costs)) == std::vector<Bytes>{1200, 1200});
  CHECK(run(schedule, costs).per_rank[1].peak_live_activations == 2);
  costs.stages[0].activation_after_input_grad = 40;
  CHECK(peak_memory(run(schedule, costs)) == std::vector<Bytes>{1200, 1140});
  costs.stages[0].activation_after_input_grad = 0;
  CHECK(peak_memory(run(schedule, costs)) == std::vector<Bytes>{1200, 1100});
  // Made again for W: two that wait hold 150 each; rank 0, F0 F1 I0 W0 I1 W1, one beside an F.
  costs.stages[0].activation_after_input_grad = 150;
  CHECK(peak_memory(run(schedule, costs)) == std::vector<Bytes>{1250, 1300});
}

// Rank 0 runs F0 F1 B0 B1, and F1 starts at 12; rank 1's first F makes it hold most, at 13.
TEST_CASE("A peak is told with its moment, its action and what it is made of") {
  const Report figures = run(make_schedule(*find_schedule("1f1b"), {2, 2}), by_hand());
  const MemoryPeak& first = *figures.per_rank[0].peak;
  CHECK(first.weights == 1000);
  CHECK(first.activations == 200);
  CHECK(first.at == Time(12));
  CHECK(to_string(first.action) == "0F1");
  const MemoryPeak& second = *figures.per_rank[1].peak;
  CHECK(second.activations == 100);
  CHECK(second.at == Time(13));
  CHECK(to_string(second.action) == "1F0");
  CostSource costs = by_hand();
  costs.stages[0].activation_after_input_grad = 150;  // I makes it again
  const Report parted = run(make_schedule(*find_schedule("zb-h1-paper"), {2, 2}), costs);
  CHECK(to_string(parted.per_rank[1].peak->action) == "1I1");
}

TEST_CASE("A pair's forward is born before its backward's activation dies") {
  const Schedule schedule = written(loop_placement({.ranks = 1, .chunks = 1}), 3,
                                    {"0F0 (0F1;0B0)OVERLAP_F_B (0F2;0B1)OVERLAP_F_B 0B2"});
  const Report figures = run(schedule, by_hand());
  CHECK(figures.peak_live_activations == 2);
  CHECK(figures.peak_memory == 1200);
}

TEST_CASE("The weights of DualPipe's two stages on a rank add up") {
  const Schedule schedule = make_schedule(*find_schedule("dualpipe"), {4, 8});
  CHECK(run(schedule, by_hand()).weight_copies == 2);
  CostSource costs = by_hand();
  CHECK(peak_memory(run(schedule, costs)) == std::vector<Bytes>(4, 2 * 1000 + 5 * 100));
  costs.stage_by_stage = true;
  costs.stages.resize(4, costs.stages[0]);
  for (std::size_t stage = 0; stage < 4; ++stage) {
    costs.stages[stage].activation = 0;
    costs.stages[stage].weights = Bytes{1} << stage;
  }
  CHECK(peak_memory(run(schedule, costs)) == std::vector<Bytes>{9, 6, 6, 9});
}

TEST_CASE("Chunks on one rank share its weights and activations") {
  const Schedule schedule =
      written(loop_placement({.ranks = 1, .chunks = 2}), 1, {"0F0 1F0 1B0 0B0"});
  const Report figures = run(schedule, by_hand());
  CHECK(figures.chunks == 2);
  CHECK(figures.peak_live_activations == 2);
  CHECK(figures.peak_activation_share == 1);
  CHECK(figures.peak_memory == 1000 + 100);
  CHECK(figures.bubble_fraction == 0);
}

TEST_CASE("Exposed communication counts pairs by what they do not hide") {
  CostSource costs = by_hand();
  costs.stages[0].overlapped = Time(10 + 25 + 4);
  const Schedule schedule =
      written(loop_placement({.ranks = 1, .chunks = 1}), 2, {"0F0 (0F1;0B0)OVERLAP_F_B 0I1 0W1"});
  CHECK(run(schedule, costs).per_rank[0].exposed_comm == Time(2 + 4 + 3 + 0));
}

TEST_CASE("Without sizes there is no memory") {
  CostSource costs = by_hand();
  costs.stages[0].weights.reset();
  const Report figures = run(make_schedule(*find_schedule("1f1b"), {2, 2}), costs);
  CHECK_FALSE(figures.peak_memory);
  CHECK_FALSE(figures.per_rank[1].peak);
}

TEST_CASE("Schedules that cost nothing have fractions of zero") {
  for (const CatalogueEntry& entry : generated_schedules()) {
    CAPTURE(entry.name);
    const Report figures = run(make_schedule(entry, {4, 8}), simple_costs({0, 0, 0, -1, 0}));
    CHECK(figures.step_time == Time(0));
    CHECK(figures.bubble_fraction == 0.0);
    CHECK(figures.bubble_overhead == 0.0);
    CHECK(figures.span_bubble == 0.0);
  }
}

TEST_CASE("The step begins with its first action and not before") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 1, {"0F0 0B0", "1F0 1B0"});
  const DependencyGraph graph =
      build_graph(post_messages(schedule, Comm::Ideal), free_costs(schedule.placement));
  Timeline measured{.source = "by hand", .spans = {}};
  for (const int start : {100, 115, 140, 170})
    measured.spans.push_back({Time(start), Time(start + 10)});
  const Report figures = report(graph, measured);
  CHECK(figures.step_time == Time(80));
  CHECK(figures.per_rank[0].span == Time(80));
  CHECK(figures.per_rank[1].span == Time(35));
  CHECK(figures.per_rank[0].idle == Time(60));
  CHECK(figures.span_bubble == doctest::Approx(60.0 / 80).epsilon(1e-15));
}

}  // namespace bubblescope

// The step as a sum of costs: true at the given costs, and wherever the region says so.
#include "analysis/explain/explanation.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "analysis/explain/cone.h"
#include "analysis/figures/report.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "tests/support/costs.h"
#include "tests/support/effort.h"
#include "tests/support/generated.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

CriticalPath path_of(const DependencyGraph& graph, const Timeline& timeline) {
  return critical_path(graph, critical_tree(graph, timeline));
}

Explanation explained(const DependencyGraph& graph) {
  const Timeline timeline = simulate(graph);
  return explain(graph, timeline, path_of(graph, timeline));
}

struct Explained {
  DependencyGraph graph;
  Explanation why;
};

const CostOptions kAsGiven{.per = CostPer::OneStage};

Explained explained(const std::string& name, Shape shape, const SimpleCosts& costs,
                    Comm comm = Comm::Ideal) {
  PostedProgram program = post_messages(*find_schedule(name), shape, comm);
  CostModel model(simple_costs(costs), program.schedule.placement, kAsGiven);
  DependencyGraph graph = build_graph(std::move(program), std::move(model));
  Explanation why = explained(graph);
  return {std::move(graph), std::move(why)};
}

/// Messages are left out where they take no time.
std::string text(const Explanation& why, LinearForm form) {
  if (why.on_path[index(CostKind::Hop)] == Time::zero())
    form[index(CostKind::Hop)] = 0;
  return to_text(why.splits_backward ? with_whole_backward(form) : form);
}

std::vector<std::string> faces(const Explanation& why) {
  std::vector<std::string> all;
  for (const LinearForm& face : why.region->faces)
    all.push_back(inequality_text(face));
  std::sort(all.begin(), all.end());
  return all;
}

PerCost<std::int64_t> as_costs(const SimpleCosts& costs) {
  const std::int64_t backward = costs.input_grad + costs.weight_grad;
  return {costs.forward,
          costs.input_grad,
          costs.weight_grad,
          backward,
          costs.overlapped < 0 ? costs.forward + backward : costs.overlapped,
          costs.hop};
}

SimpleCosts draw_costs(std::mt19937_64& engine) {
  const auto cost = [&] { return draw_chance(engine, 10) ? 0 : draw(engine, {1, 1000}); };
  return {.forward = cost(),
          .input_grad = cost(),
          .weight_grad = cost(),
          .overlapped = draw_chance(engine, 30) ? -1 : cost(),
          .hop = draw_chance(engine, 50) ? 0 : cost()};
}

bool satisfy(const PerCost<std::int64_t>& costs, const std::vector<LinearForm>& faces) {
  return std::all_of(faces.begin(), faces.end(),
                     [&](const LinearForm& face) { return dot(face, costs) >= 0; });
}

Shape fitting(const CatalogueEntry& entry, std::mt19937_64& engine) {
  Shape shape{.ranks = draw_int(engine, {1, 8}), .microbatches = draw_int(engine, {1, 24})};
  while (const auto misfit = find_misfit(entry, shape))
    shape = misfit->nearest;
  return shape;
}

}  // namespace

TEST_CASE("1F1B idles 7 F and 7 B on every rank of eight, at all costs") {
  const auto [graph, why] = explained("1f1b", {.ranks = 8, .microbatches = 32},
                                      {.forward = 10, .input_grad = 11, .weight_grad = 8});
  CHECK(text(why, why.form) == "39·F + 39·B");
  for (const LinearForm& idle : why.idle)
    CHECK(text(why, idle) == "7·F + 7·B");
  CHECK(why.region->is_exact);
  CHECK(faces(why).empty());
}

TEST_CASE("DualPipe's idle time on the middle ranks is its README's formula at F = I") {
  const auto [graph, why] =
      explained("dualpipe", {.ranks = 8, .microbatches = 20},
                {.forward = 10, .input_grad = 10, .weight_grad = 10, .overlapped = 30});
  CHECK(text(why, why.idle[3]) == "3·F&B + 3·F − 6·W");
  CHECK(why.idle[3] == why.idle[4]);
  // Ranks 2 to 5 are alike; each further out adds F&B − F − B.
  const LinearForm further = why.idle[1] - why.idle[2];
  CHECK(text(why, further) == "F&B − F − B");
  CHECK(faces(why) == std::vector<std::string>{"3·I ≤ 4·F", "W ≤ I"});
  CHECK(why.region->is_exact);
}

TEST_CASE("The form is the simulated time for all schedules and 1,000 random costs each") {
  constexpr std::uint64_t kSeed = 7;
  constexpr int kTrials = kSanitized ? 100 : 1000;
  CAPTURE(kSeed);
  std::mt19937_64 engine(kSeed);
  for (const CatalogueEntry& entry : generated_schedules())
    for (int trial = 0; trial < kTrials; ++trial) {
      const Shape shape = fitting(entry, engine);
      const SimpleCosts costs = draw_costs(engine);
      const Comm comm = std::array{Comm::Ideal, Comm::Stream, Comm::Batched}[draw_index(engine, 3)];
      CAPTURE(entry.name);
      CAPTURE(trial);
      PostedProgram program = post_messages(entry, shape, comm);
      const DependencyGraph graph =
          build_graph(std::move(program),
                      CostModel(simple_costs(costs),
                                post_messages(entry, shape, comm).schedule.placement, kAsGiven));
      const Timeline timeline = simulate(graph);
      const CriticalPath path = path_of(graph, timeline);
      const Report figures = report(graph, timeline);
      REQUIRE(dot(path.counts, as_costs(costs)) == figures.step_time.count());
    }
}

TEST_CASE("Inside its region a form stays the step time, and outside it does not") {
  constexpr std::uint64_t kSeed = 11;
  CAPTURE(kSeed);
  std::mt19937_64 engine(kSeed);
  int inside = 0;
  int outside = 0;
  for (const CatalogueEntry& entry : generated_schedules())
    for (int trial = 0; trial < 6; ++trial) {
      const Shape shape = fitting(entry, engine);
      SimpleCosts costs = draw_costs(engine);
      if (costs.overlapped < 0)
        costs.overlapped = costs.forward + costs.input_grad + costs.weight_grad;
      CAPTURE(entry.name);
      CAPTURE(trial);
      const auto [graph, why] = explained(std::string(entry.name), shape, costs);
      CAPTURE(text(why, why.form));
      const LinearForm form = why.splits_backward ? with_split_backward(why.form) : why.form;
      for (const LinearForm& idle : why.idle)
        CHECK(dot(idle, as_costs(costs)) ==
              report(graph, simulate(graph))
                  .per_rank[static_cast<std::size_t>(&idle - why.idle.data())]
                  .idle.count());
      REQUIRE(why.region.has_value());
      REQUIRE(why.region->is_exact);
      CHECK(satisfy(as_costs(costs), why.region->faces));
      CHECK(satisfy(as_costs(costs), why.region->assumed));
      const StepFunction step(graph, StepFunction::Unit::Once);
      for (int other = 0; other < 50; ++other) {
        PerCost<std::int64_t> moved = as_costs(draw_costs(engine));
        if (costs.hop == 0)
          moved[index(CostKind::Hop)] = 0;
        const std::int64_t time = step.at(moved).time;
        if (!satisfy(moved, why.region->assumed))
          continue;
        const bool is_in = satisfy(moved, why.region->faces);
        ++(is_in ? inside : outside);
        REQUIRE((time == dot(form, moved)) == is_in);
      }
    }
  CHECK(inside > 500);
  CHECK(outside > 500);
}

TEST_CASE("A cost moved to the end of its range leaves the form true, and one further does not") {
  std::mt19937_64 engine(13);
  int ends = 0;
  for (const CatalogueEntry& entry : generated_schedules()) {
    CAPTURE(entry.name);
    const Shape shape = fitting(entry, engine);
    SimpleCosts costs{
        .forward = 100, .input_grad = 110, .weight_grad = 80, .overlapped = 250, .hop = 7};
    const auto [graph, why] = explained(std::string(entry.name), shape, costs);
    const LinearForm form = why.splits_backward ? with_split_backward(why.form) : why.form;
    const StepFunction step(graph, StepFunction::Unit::Once);
    const auto holds = [&](CostKind kind, std::int64_t cost) {
      PerCost<std::int64_t> moved = *why.costs;
      moved[index(kind)] = cost;
      if (why.splits_backward)
        moved[index(CostKind::Backward)] =
            moved[index(CostKind::InputGrad)] + moved[index(CostKind::WeightGrad)];
      return step.at(moved).time == dot(form, moved);
    };
    for (const Lever& lever : why.levers) {
      CHECK(holds(lever.kind, lever.range.least));
      CHECK(holds(lever.kind, lever.range.most));
      if (!lever.range.is_open) {
        ++ends;
        CHECK(!holds(lever.kind, lever.range.most + 1));
      }
      if (lever.range.least > 0)
        CHECK(!holds(lever.kind, lever.range.least - 1));
    }
  }
  CHECK(ends > 10);
}

TEST_CASE("One percent off a cost saves its share of the path where the path stays the longest") {
  const auto [graph, why] =
      explained("1f1b", {.ranks = 4, .microbatches = 8},
                {.forward = 1000, .input_grad = 1000, .weight_grad = 1000, .hop = 100});
  for (const Lever& lever : why.levers)
    CHECK(lever.saved_ns ==
          doctest::Approx(static_cast<double>(why.on_path[index(lever.kind)].count()) / 100));
}

TEST_CASE("Of uneven stages the times on the path add up, and ranges are in thousandths") {
  const Schedule schedule = make_schedule(*find_schedule("1f1b"), {.ranks = 4, .microbatches = 8});
  CostSource costs{.name = "uneven", .stage_by_stage = true, .link = {.latency = Time(50)}};
  for (const int scale : {10, 10, 13, 10})
    costs.stages.push_back({.forward = Time(100 * scale),
                            .input_grad = Time(100 * scale),
                            .weight_grad = Time(100 * scale)});
  const DependencyGraph graph = graph_of(schedule, costs);
  const Explanation why = explained(graph);
  CHECK(!why.costs);
  CHECK(!why.region);
  Time sum{};
  for (const Time time : why.on_path)
    sum += time;
  CHECK(sum == why.step_time);
  for (const Lever& lever : why.levers) {
    CHECK(lever.range.least <= 1000);
    CHECK(lever.range.most >= 1000);
    CHECK(lever.saved_ns <= static_cast<double>(why.on_path[index(lever.kind)].count()) / 100);
  }
}

TEST_CASE("A cone's rays are where its planes meet") {
  Cone cone(3);
  CHECK(cone.add({1, -1, 0}));  // y ≤ x
  CHECK(cone.add({0, 2, -1}));  // z ≤ 2y
  auto rays = cone.rays();
  std::sort(rays.begin(), rays.end());
  CHECK(rays == std::vector<Cone::Vector>{{1, 0, 0}, {1, 1, 0}, {1, 1, 2}});
}

}  // namespace bubblescope

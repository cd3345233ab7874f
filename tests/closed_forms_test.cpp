// What the papers, or simulation where they are silent, say in closed form, to the nanosecond.
#include <algorithm>

#include <doctest/doctest.h>

#include "analysis/figures/report.h"
#include "sim/engine/simulate.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"
#include "tests/support/generated.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

Report run(std::string_view name, Shape shape, SimpleCosts costs) {
  const Schedule schedule = make_schedule(*find_schedule(name), shape);
  const DependencyGraph graph = graph_of(schedule, simple_costs(costs));
  return report(graph, simulate(graph));
}

SimpleCosts draw_costs(std::mt19937_64& engine) {
  return {.forward = draw(engine, {0, 1000}),
          .input_grad = draw(engine, {0, 1000}),
          .weight_grad = draw(engine, {0, 1000})};
}

std::int64_t full_backward(const SimpleCosts& costs) {
  return costs.input_grad + costs.weight_grad;
}

/// Checks that every rank of `name` idles for `idle(p, costs)`, for all shapes that fit up to
/// p = 9 and m = 20 and for costs drawn anew at each.
template <typename Idle>
void check_idle(std::string_view name, int least_microbatches_per_rank, Idle&& idle) {
  for (std::uint64_t seed = 0; seed < 9 * 20; ++seed) {
    const Shape shape{static_cast<int>(seed / 20) + 1, static_cast<int>(seed % 20) + 1};
    if (find_misfit(*find_schedule(name), shape) ||
        shape.microbatches < least_microbatches_per_rank * shape.ranks)
      continue;
    CAPTURE(name);
    CAPTURE(seed);
    CAPTURE(shape.ranks);
    CAPTURE(shape.microbatches);
    std::mt19937_64 engine(seed);
    const SimpleCosts costs = draw_costs(engine);
    for (const RankReport& rank : run(name, shape, costs).per_rank)
      CHECK(rank.idle.count() == idle(shape.ranks, costs));
  }
}

/// Idle on a rank of DualPipe that is `outward` ranks from the middle pair, where W ≤ I,
/// (p/2 − 1) I ≤ p/2 F and F&B ≥ F + B. The README of deepseek-ai/DualPipe has the case F = I.
std::int64_t dualpipe_idle(int ranks, int outward, const SimpleCosts& costs) {
  const std::int64_t apart = costs.overlapped - costs.forward - full_backward(costs);
  return (ranks / 2 - 1) * (costs.overlapped + costs.forward - 2 * costs.weight_grad) +
         std::max(0, outward - 1) * apart;
}

/// [rank] The gaps before, between and behind the actions of a rank, up to the step's end.
std::vector<Time> gaps(const DependencyGraph& graph, const Timeline& timeline) {
  std::vector<Time> idle(static_cast<std::size_t>(graph.schedule().placement.ranks));
  std::vector<Time> last_end(idle.size());
  Time step{};
  for (NodeId node = 0; node < graph.size(); ++node) {  // on one rank, nodes are in order
    const auto rank = static_cast<std::size_t>(graph.rank()[node]);
    CHECK(timeline.spans[node].start >= last_end[rank]);
    idle[rank] += timeline.spans[node].start - last_end[rank];
    last_end[rank] = timeline.spans[node].end;
    step = std::max(step, last_end[rank]);
  }
  for (std::size_t rank = 0; rank < idle.size(); ++rank)
    idle[rank] += step - last_end[rank];
  return idle;
}

}  // namespace

TEST_CASE("GPipe idles (p-1)(F+B) on every rank") {
  check_idle("gpipe", 0, [](int ranks, const SimpleCosts& costs) {
    return (ranks - 1) * (costs.forward + full_backward(costs));
  });
}

TEST_CASE("1F1B idles (p-1)(F+B) on every rank and for every m") {
  check_idle("1f1b", 0, [](int ranks, const SimpleCosts& costs) {
    return (ranks - 1) * (costs.forward + full_backward(costs));
  });
}

// The paper's (p−1)(F + I − W) is the case W ≤ F and W ≤ I.
TEST_CASE("ZB-H1 idles (p-1)(F+I-min(F W I)) on every rank where m is p or more") {
  for (const std::string_view name : {"zb-h1", "zb-h1-paper"})
    check_idle(name, 1, [](int ranks, const SimpleCosts& costs) {
      const auto least = std::min({costs.forward, costs.weight_grad, costs.input_grad});
      return (ranks - 1) * (costs.forward + costs.input_grad - least);
    });
}

// Of this (p−1)F is the wait until a rank starts, or after it ends: no bubble of its own span.
TEST_CASE("ZB-H2 idles (p-1)(F+max(0 I-2min(F W))) on every rank") {
  check_idle("zb-h2", 0, [](int ranks, const SimpleCosts& costs) {
    const auto filled = 2 * std::min(costs.forward, costs.weight_grad);
    return (ranks - 1) * (costs.forward + std::max<std::int64_t>(0, costs.input_grad - filled));
  });
}

TEST_CASE("DualPipe idles (p/2-1)(F&B+B-3W) at F = I = W = 1 and F&B = 3") {
  for (int ranks = 2; ranks <= 12; ranks += 2)
    for (int microbatches = 2 * ranks; microbatches <= 2 * ranks + 8; microbatches += 2) {
      CAPTURE(ranks);
      CAPTURE(microbatches);
      for (const RankReport& rank :
           run("dualpipe", {ranks, microbatches}, {.overlapped = 3}).per_rank)
        CHECK(rank.idle.count() == (ranks / 2 - 1) * (3 + 2 - 3 * 1));
    }
}

TEST_CASE("DualPipe idles 69 where its README's formula says 72") {
  const SimpleCosts costs{.forward = 10, .input_grad = 11, .weight_grad = 8, .overlapped = 29};
  for (const RankReport& rank : run("dualpipe", {8, 20}, costs).per_rank)
    CHECK(rank.idle.count() == 69);
}

TEST_CASE("DualPipe idles (p/2-1)(F&B+F-2W) and F&B-F-B more on each outer rank") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const int ranks = 2 * draw_int(engine, {1, 6});
    const int microbatches = 2 * ranks + 2 * draw_int(engine, {0, 6});
    SimpleCosts costs{.forward = draw(engine, {0, 1000})};
    const std::int64_t most = ranks > 2 ? costs.forward * ranks / (ranks - 2) : 1000;
    costs.input_grad = draw(engine, {0, most});
    costs.weight_grad = draw(engine, {0, costs.input_grad});
    costs.overlapped = costs.forward + full_backward(costs) + draw(engine, {0, 300});
    for (const RankReport& rank : run("dualpipe", {ranks, microbatches}, costs).per_rank) {
      const int outward = ranks / 2 - 1 - std::min(rank.rank, ranks - 1 - rank.rank);
      CHECK(rank.idle.count() == dualpipe_idle(ranks, outward, costs));
    }
  }
}

TEST_CASE("Costs times k give a Timeline times k") {
  const CostOptions per_stage = {.per = CostPer::OneStage};  // nothing is divided and rounded
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const std::vector<CatalogueEntry> entries = generated_schedules();
    const CatalogueEntry& entry = entries[seed % entries.size()];
    CAPTURE(entry.name);
    const int ranks = 2 * draw_int(engine, {1, 4});
    const Schedule schedule = make_schedule(entry, {ranks, ranks * draw_int(engine, {2, 4})});
    SimpleCosts costs = draw_costs(engine);
    costs.hop = draw(engine, {0, 100});
    costs.overlapped = draw(engine, {0, 2000});
    const std::int64_t k = draw(engine, {2, 1'000'000});
    const SimpleCosts larger{costs.forward * k, costs.input_grad * k, costs.weight_grad * k,
                             costs.overlapped * k, costs.hop * k};
    const Timeline small = simulate(graph_of(schedule, simple_costs(costs), per_stage));
    const Timeline large = simulate(graph_of(schedule, simple_costs(larger), per_stage));
    REQUIRE(small.spans.size() == large.spans.size());
    for (std::size_t i = 0; i < small.spans.size(); ++i)
      REQUIRE(large.spans[i] == Span{small.spans[i].start * k, small.spans[i].end * k});
  }
}

TEST_CASE("Busy and idle add up to the ranks' step times") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const Schedule schedule = random_schedule(engine);
    const DependencyGraph graph = graph_of(schedule, random_costs(engine, schedule.placement));
    const Timeline timeline = simulate(graph);
    const Report figures = report(graph, timeline);
    const std::vector<Time> idle = gaps(graph, timeline);
    Time sum{};
    for (const RankReport& rank : figures.per_rank) {
      CHECK(rank.idle == idle[static_cast<std::size_t>(rank.rank)]);
      sum += rank.busy + rank.idle;
    }
    CHECK(sum == figures.ranks * figures.step_time);
  }
}

}  // namespace bubblescope

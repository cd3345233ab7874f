// Idle intervals: complete, exact, and blamed on the right cause.
#include "analysis/figures/bubbles.h"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "analysis/figures/report.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"
#include "tests/support/generated.h"

namespace bubblescope {
namespace {

struct Run {
  DependencyGraph graph;
  Timeline timeline;
};

Run run(Schedule schedule, const CostSource& costs) {
  CostModel model(costs, schedule.placement, {});
  DependencyGraph graph =
      build_graph(post_messages(std::move(schedule), Comm::Ideal), std::move(model));
  Timeline timeline = simulate(graph);
  return {std::move(graph), std::move(timeline)};
}

/// Each stage of a pipe with costs of its own, some of them zero.
CostSource random_costs(int depth, std::mt19937& random) {
  const auto time = [&] { return Time(random() % 4 == 0 ? 0 : random() % 1'000'003); };
  CostSource source{.name = "random", .stage_by_stage = true, .link = {.latency = time()}};
  for (int stage = 0; stage < depth; ++stage)
    source.stages.push_back({.forward = time(),
                             .input_grad = time(),
                             .weight_grad = time(),
                             .overlapped = time(),
                             .exposed_forward = time()});
  return source;
}

/// The bubbles of each rank lie in its time order, apart, outside its actions and inside the step,
/// and add up to its idle time.
void check_bubbles(const Run& run) {
  const Report figures = report(run.graph, run.timeline);
  std::vector<Time> idle(figures.per_rank.size());
  const std::vector<Bubble> bubbles = find_bubbles(run.graph, run.timeline);
  for (std::size_t i = 0; i < bubbles.size(); ++i) {
    const auto& [rank, span, cause, waiting, blocking] = bubbles[i];
    idle[static_cast<std::size_t>(rank)] += span.length();
    CHECK(span.length() > Time::zero());
    CHECK(run.graph.rank()[waiting] == rank);
    const bool goes_on = i + 1 < bubbles.size() && bubbles[i + 1].waiting == waiting &&
                         bubbles[i + 1].cause != BubbleCause::Drain;
    if (i > 0)
      CHECK(std::pair(bubbles[i - 1].rank, bubbles[i - 1].span.end) <= std::pair(rank, span.start));
    if (goes_on)
      CHECK(bubbles[i + 1].cause != cause);
    else if (cause != BubbleCause::Drain)
      CHECK(run.timeline.spans[waiting].start == span.end);
    if (cause == BubbleCause::Message)
      CHECK(run.timeline.spans[blocking].end <= span.start);
    if (cause == BubbleCause::Imbalance ||
        (cause == BubbleCause::Dependency && !(goes_on && bubbles[i + 1].blocking == blocking)))
      CHECK(run.timeline.spans[blocking].end == span.end);
  }
  for (const RankReport& rank : figures.per_rank)
    CHECK(idle[static_cast<std::size_t>(rank.rank)] == rank.idle);
}

std::string words(const Run& run, const Bubble& bubble) {
  return fmt::format("rank {} {}-{} {}: {} after {}", bubble.rank, bubble.span.start.count(),
                     bubble.span.end.count(), cause_name(bubble.cause),
                     to_string(run.graph.action(bubble.waiting)),
                     to_string(run.graph.action(bubble.blocking)));
}

std::vector<std::string> bubbles_in_words(const Run& run) {
  std::vector<std::string> lines;
  for (const Bubble& bubble : find_bubbles(run.graph, run.timeline))
    lines.push_back(words(run, bubble));
  return lines;
}

Run small_1f1b(Time hop) {
  const Schedule schedule = make_schedule(*find_schedule("1f1b"), {.ranks = 2, .microbatches = 2});
  return run(schedule, simple_costs({.hop = hop.count()}));
}

}  // namespace

TEST_CASE("bubbles add up to the idle time of each rank on random costs") {
  constexpr unsigned kSeed = 20240917;
  INFO("seed " << kSeed);
  std::mt19937 random(kSeed);
  for (const CatalogueEntry& entry : generated_schedules())
    for (int trial = 0; trial < 8; ++trial) {
      Shape shape = {.ranks = 1 + static_cast<int>(random() % 7),
                     .microbatches = 1 + static_cast<int>(random() % 20)};
      while (const auto misfit = find_misfit(entry, shape))
        shape = misfit->nearest;
      INFO(entry.name << " on " << shape.ranks << " ranks, " << shape.microbatches);
      const Schedule schedule = make_schedule(entry, shape);
      check_bubbles(run(schedule, random_costs(schedule.placement.depth, random)));
    }
}

TEST_CASE("bubbles of a small 1F1B without latency wait for the other rank's actions") {
  // rank 0: F0 0-1, F1 1-2, B0 4-6, B1 7-9; rank 1: F0 1-2, B0 2-4, F1 4-5, B1 5-7
  const std::vector<std::string> expected = {
      "rank 0 2-4 waiting for input: 0B0 after 1B0", "rank 0 6-7 waiting for input: 0B1 after 1B1",
      "rank 1 0-1 warm-up: 1F0 after 0F0", "rank 1 7-9 drain: 1B1 after 0B1"};
  CHECK(bubbles_in_words(small_1f1b(Time(0))) == expected);
}

TEST_CASE("a bubble is cut where the output is made and its message begins") {
  // rank 0: F0 0-1, F1 1-2, B0 6-8, B1 9-11; rank 1: F0 2-3, B0 3-5, F1 5-6, B1 6-8
  const std::vector<std::string> expected = {
      "rank 0 2-5 waiting for input: 0B0 after 1B0", "rank 0 5-6 message in flight: 0B0 after 1B0",
      "rank 0 8-9 message in flight: 0B1 after 1B1", "rank 1 0-2 warm-up: 1F0 after 0F0",
      "rank 1 8-11 drain: 1B1 after 0B1"};
  CHECK(bubbles_in_words(small_1f1b(Time(1))) == expected);
}

TEST_CASE("a step without a bubble has none, and one rank never waits") {
  const Schedule alone = make_schedule(*find_schedule("gpipe"), {.ranks = 1, .microbatches = 5});
  CHECK(bubbles_in_words(run(alone, simple_costs({.hop = 9}))).empty());
}

}  // namespace bubblescope

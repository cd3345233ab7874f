// Every idle nanosecond has one cause, and what it is blamed on is what it hangs on.
#include <algorithm>
#include <map>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "analysis/explain/blockers.h"
#include "analysis/figures/bubbles.h"
#include "analysis/figures/report.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "tests/support/effort.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

constexpr Comm kAll[] = {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch};
constexpr Time kNs{1};

DependencyGraph random_graph(std::uint64_t seed, Comm comm) {
  std::mt19937_64 engine(seed);
  const Schedule schedule = random_schedule(engine);
  const CostSource costs = random_costs(engine, schedule.placement);
  return build_graph(post_messages(schedule, comm), {costs, schedule.placement, {}});
}

/// Of the action that waits, since the one before it on its rank, or since the step began.
Time gap_before(const DependencyGraph& graph, const Timeline& timeline, NodeId waiting) {
  Time before{};
  for (NodeId node = 0; node < graph.size(); ++node)
    if (!graph.is_message(node) && graph.rank()[node] == graph.rank()[waiting] &&
        graph.action_index()[node] + 1 == graph.action_index()[waiting])
      before = timeline.spans[node].end;
  return timeline.spans[waiting].start - before;
}

Time step_end(const Timeline& timeline) {
  Time end{};
  for (const Span& span : timeline.spans)
    end = std::max(end, span.end);
  return end;
}

/// Takes one nanosecond off what the bubble names, where it has one; false where it has none.
bool shorten(DependencyGraph& graph, const Bubble& bubble) {
  if (bubble.cause != BubbleCause::Message || graph.is_message(bubble.blocking)) {
    Time& duration = graph.duration()[bubble.blocking];
    return duration > Time::zero() ? (duration -= kNs, true) : false;
  }
  for (EdgeId edge = graph.first_edge()[bubble.waiting];
       edge < graph.first_edge()[bubble.waiting + 1]; ++edge)
    if (graph.producer()[edge] == bubble.blocking)
      graph.own_lags()[edge] -= kNs;
  return true;
}

}  // namespace

TEST_CASE(
    "The causes of 10,000 random programs add up to their idle time, none of it unexplained") {
  for (std::uint64_t seed = 0; seed < 2'500; ++seed)
    for (const Comm comm : kAll) {
      CAPTURE(seed);
      CAPTURE(to_string(comm));
      const DependencyGraph graph = random_graph(seed, comm);
      const Timeline timeline = simulate(graph);
      const Report figures = report(graph, timeline);
      std::vector<Time> idle(figures.per_rank.size());
      for (const Bubble& bubble : find_bubbles(graph, timeline)) {
        idle[static_cast<std::size_t>(bubble.rank)] += bubble.span.length();
        REQUIRE(bubble.cause != BubbleCause::Unknown);
        REQUIRE(bubble.cause != BubbleCause::Contention);
      }
      for (const RankReport& rank : figures.per_rank)
        REQUIRE(idle[static_cast<std::size_t>(rank.rank)] == rank.idle);
    }
}

TEST_CASE("What alone is named as blocking ends the gap sooner when it is shorter") {
  constexpr std::uint64_t kSeeds = kSanitized ? 100 : 600;
  std::map<BubbleCause, int> shortened;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed)
    for (const Comm comm : kAll) {
      CAPTURE(seed);
      CAPTURE(to_string(comm));
      const DependencyGraph graph = random_graph(seed, comm);
      const Timeline timeline = simulate(graph);
      const Blockers blockers(graph, timeline);
      for (const Bubble& bubble : find_bubbles(graph, timeline)) {
        const bool is_last = timeline.spans[bubble.waiting].start == bubble.span.end;
        const bool is_drain = bubble.cause == BubbleCause::Drain;
        if (bubble.cause == BubbleCause::Peer || bubble.cause == BubbleCause::Queue ||
            (!is_last && !is_drain) || blockers.of(bubble).size() > 1)
          continue;
        DependencyGraph shorter = random_graph(seed, comm);
        if (!shorten(shorter, bubble))
          continue;
        const Timeline after = simulate(shorter);
        ++shortened[bubble.cause];
        CAPTURE(std::string(cause_name(bubble.cause)));
        if (is_drain)
          REQUIRE(step_end(after) == step_end(timeline) - kNs);
        else
          REQUIRE(gap_before(shorter, after, bubble.waiting) ==
                  gap_before(graph, timeline, bubble.waiting) - kNs);
      }
    }
  for (const BubbleCause cause : {BubbleCause::WarmUp, BubbleCause::Dependency,
                                  BubbleCause::Imbalance, BubbleCause::Message, BubbleCause::Drain})
    CHECK(shortened[cause] > (kSanitized ? 20 : 100));
}

TEST_CASE("Every blocker that ties with another is named, and shortening one alone helps nothing") {
  // Rank 1 waits in 1F0 for both pipes' halves of a pair: rank 0's 0F0 and rank 2's 2B0 end at
  // once.
  const Schedule schedule =
      written(loop_placement({.ranks = 3, .chunks = 1}), 2,
              {"0F0 0F1 0B0 0B1", "1F0 (1F1;1B0)OVERLAP_F_B 1B1", "2F0 2B0 2F1 2B1"});
  CostSource costs{.name = "tie", .stage_by_stage = true};
  for (const int forward : {50, 10, 10})
    costs.stages.push_back(
        {.forward = Time(forward), .input_grad = Time(15), .weight_grad = Time(15)});
  const DependencyGraph graph = graph_of(schedule, costs);
  const Timeline timeline = simulate(graph);
  // 0F0 0-50, 0F1 50-100; 1F0 50-60; 2F0 60-70, 2B0 70-100; the pair needs 0F1 and 2B0.
  const Blockers blockers(graph, timeline);
  int ties = 0;
  for (const Bubble& bubble : find_bubbles(graph, timeline)) {
    const std::vector<NodeId> all = blockers.of(bubble);
    CHECK(std::find(all.begin(), all.end(), bubble.blocking) != all.end());
    if (all.size() == 1)
      continue;
    ++ties;
    CHECK(bubble.rank == 1);
    CHECK(bubble.span.end == Time(100));
    CHECK(to_string(graph.action(all[0])) + " " + to_string(graph.action(all[1])) == "0F1 2B0");
  }
  CHECK(ties > 0);
}

TEST_CASE("Waiting for a stage that is slower than the mean is imbalance") {
  const Schedule schedule = written(loop_placement({.ranks = 2, .chunks = 1}), 3,
                                    {"0F0 0F1 0B0 0F2 0B1 0B2", "1F0 1B0 1F1 1B1 1F2 1B2"});
  CostSource costs{.name = "uneven", .stage_by_stage = true};
  for (const int scale : {1, 2})
    costs.stages.push_back({.forward = Time(10 * scale),
                            .input_grad = Time(10 * scale),
                            .weight_grad = Time(10 * scale)});
  const DependencyGraph graph = graph_of(schedule, costs);
  const Timeline timeline = simulate(graph);
  // Rank 1: 1F0 10-30, 1B0 30-70, 1F1 70-90, 1B1 90-130, 1F2 130-150, 1B2 150-190.
  // Rank 0: 0F0 0-10, 0F1 10-20, 0B0 70-90, 0F2 90-100, 0B1 130-150, 0B2 190-210.
  // With F = 15 and B = 30 for both, rank 0 would wait 30 before 0B0, not at all before 0B1 (45 on
  // either rank since 1B0), and 15 before 0B2 (1F2 and 1B2 against 0B1).
  std::vector<std::string> told;
  for (const Bubble& bubble : find_bubbles(graph, timeline))
    told.push_back(fmt::format("rank {} {}-{} {}", bubble.rank, bubble.span.start.count(),
                               bubble.span.end.count(), cause_name(bubble.cause)));
  CHECK(told == std::vector<std::string>{
                    "rank 0 20-50 waiting for input", "rank 0 50-70 slower stage",
                    "rank 0 100-130 slower stage", "rank 0 150-165 waiting for input",
                    "rank 0 165-190 slower stage", "rank 1 0-10 warm-up", "rank 1 190-210 drain"});
}

}  // namespace bubblescope

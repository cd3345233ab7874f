// Predicted beside measured, by closed forms.
#include "analysis/figures/timeline_comparison.h"

#include <cmath>
#include <string>

#include <doctest/doctest.h>

#include "analysis/traces/chrome_trace.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"
#include "tests/support/random_schedule.h"
#include "tests/support/trace_checker.h"

namespace bubblescope {
namespace {

DependencyGraph one_f_one_b(Shape shape, SimpleCosts costs, Comm comm = Comm::Ideal) {
  Schedule schedule = make_schedule(*find_schedule("1f1b"), shape);
  const CostModel model(simple_costs(costs), schedule.placement, {});
  return build_graph(post_messages(std::move(schedule), comm), model);
}

/// The node of an action.
NodeId node_of(const DependencyGraph& graph, const std::string& action) {
  NodeId node = 0;
  while (graph.is_message(node) || to_string(graph.action(node)) != action)
    ++node;
  return node;
}

TimelineComparison compared(const DependencyGraph& graph, const Timeline& predicted,
                            const Timeline& measured) {
  return compare_timelines(Analysis(graph, predicted), Analysis(graph, measured));
}

}  // namespace

TEST_CASE("a timeline beside itself has no error, wherever it starts") {
  const DependencyGraph graph = one_f_one_b({4, 8}, {.forward = 10, .hop = 1}, Comm::Stream);
  const Timeline predicted = simulate(graph);
  Timeline late = simulate(graph);
  for (Span& span : late.spans)
    span = {span.start + Time(1'000), span.end + Time(1'000)};
  const TimelineComparison both = compared(graph, predicted, late);
  CHECK(both.step_error == 0);
  CHECK(both.bubble_error_points == 0);
  CHECK(both.start_errors.max == Time(0));
  for (Rank rank = 0; rank < 4; ++rank)
    CHECK(both.rank_bubble_error_points(rank) == 0);
}

// F = 10, I = W = 10, so B = 20: m·30 busy, (p − 1)·30 idle. Twice the forward: (m + p − 1)·40.
TEST_CASE("the errors of 1F1B with a forward twice as long have closed forms") {
  const DependencyGraph graph =
      one_f_one_b({4, 8}, {.forward = 10, .input_grad = 10, .weight_grad = 10});
  const DependencyGraph slower =
      one_f_one_b({4, 8}, {.forward = 20, .input_grad = 10, .weight_grad = 10});
  const TimelineComparison both = compared(graph, simulate(graph), simulate(slower));
  CHECK(both.predicted.step_time == Time(11 * 30));
  CHECK(both.measured.step_time == Time(11 * 40));
  CHECK(both.step_error == doctest::Approx(1.0 / 3));
  CHECK(both.predicted.bubble_fraction == doctest::Approx(3.0 / 11));
  CHECK(both.bubble_error_points == doctest::Approx(0));
  for (Rank rank = 0; rank < 4; ++rank) {
    CHECK(bubble_fraction(both.predicted, rank) == doctest::Approx(3.0 / 11));
    CHECK(both.rank_bubble_error_points(rank) == doctest::Approx(0));
  }
  CHECK(both.start_errors.max == Time(10 * 11));  // of the last micro-batch's B, on all ranks
  CHECK(both.start_errors.worst_action == "3B7");
  CHECK(both.start_errors.worst_rank == 3);
}

// One rank, one micro-batch after another: starts at 0, 10, 20, … of which the k-th is late by k.
TEST_CASE("percentiles of start errors are those of the sorted errors") {
  const DependencyGraph graph =
      one_f_one_b({1, 50}, {.forward = 10, .input_grad = 10, .weight_grad = 0});
  Timeline late = simulate(graph);
  const Timeline predicted = simulate(graph);
  for (Span& span : late.spans) {
    const Time by(span.start.count() / 10);
    span = {span.start + by, span.end + by};
  }
  const StartErrors errors = compared(graph, predicted, late).start_errors;
  CHECK(errors.p50 == Time(49));  // of 0 … 99, 50 are at most 49
  CHECK(errors.p95 == Time(94));
  CHECK(errors.max == Time(99));
  CHECK(errors.worst_action == "0B49");
}

TEST_CASE("what starts early is as wrong as what starts late") {
  const DependencyGraph graph = one_f_one_b({2, 4}, {.forward = 10});
  Timeline early = simulate(graph);
  const NodeId node = node_of(graph, "1F3");
  early.spans[node].start -= Time(7);
  const StartErrors errors = compared(graph, simulate(graph), early).start_errors;
  CHECK(errors.max == Time(7));
  CHECK(errors.p50 == Time(0));
  CHECK(errors.worst_action == "1F3");
  CHECK(errors.worst_rank == 1);
}

TEST_CASE("a step that was to take no time is infinitely wrong unless it takes none") {
  const DependencyGraph graph =
      one_f_one_b({2, 2}, {.forward = 0, .input_grad = 0, .weight_grad = 0});
  const Timeline nothing = simulate(graph);
  CHECK(compared(graph, nothing, nothing).step_error == 0);
  Timeline something = simulate(graph);
  something.spans[node_of(graph, "0B1")].end = Time(5);
  CHECK(std::isinf(compared(graph, nothing, something).step_error));
}

TEST_CASE("a trace of both keeps the rules, with the predicted actions above the measured") {
  for (const Comm comm : {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch}) {
    const DependencyGraph graph = one_f_one_b({3, 6}, {.forward = 100, .hop = 7}, comm);
    const DependencyGraph other = one_f_one_b({3, 6}, {.forward = 120, .hop = 5}, comm);
    const Timeline predicted = simulate(graph);
    const Timeline measured = simulate(other);
    std::string text;
    write_chrome_trace(
        Analysis(graph, measured), [&](std::string_view piece) { text += piece; }, &predicted);
    CheckedTrace trace = check_trace(text);
    CHECK(trace.violations.empty());
    CHECK(text.find(R"("tid":1,"name":"thread_name","args":{"name":"actions, predicted"})") !=
          text.npos);
    CHECK(text.find(R"("tid":2,"name":"thread_name","args":{"name":"actions, measured"})") !=
          text.npos);
    const Report figures = report(other, measured);
    for (const RankReport& rank : figures.per_rank)
      CHECK(trace.bubble_ns[rank.rank] == rank.idle.count());
  }
}

}  // namespace bubblescope

// Both engines against each other and against a longest path that knows nothing of the graph.
#include "sim/engine/simulate.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <doctest/doctest.h>

#include "tests/support/costs.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

/// The costs of each stage as they stand.
const CostOptions kAsGiven{.per = CostPer::OneStage};

/// [action] When each runs: from the words of docs/manual.md, by recursion from the end.
class LongestPath {
 public:
  LongestPath(const Schedule& schedule, const CostSource& costs)
      : schedule_(schedule), costs_(costs), waits_(naive_waits(schedule)), spans_(waits_.size()) {}

  Span span(std::size_t action) {
    if (!spans_[action]) {
      Time start{};
      for (const NaiveWait& wait : waits_[action]) {
        const bool travels = wait.output && !wait.is_local;
        const Time lag = travels ? message(*wait.output) : Time::zero();
        start = std::max(start, span(wait.producer).end + lag);
      }
      spans_[action] = Span{start, start + duration(schedule_.actions[action])};
    }
    return *spans_[action];
  }

 private:
  const StageCost& cost(Stage stage) const {
    const Stage position = stage % schedule_.placement.depth;
    return costs_.stages[costs_.stage_by_stage ? static_cast<std::size_t>(position) : 0];
  }

  Time duration(const Op& op) const {
    const StageCost& stage = cost(op.stage());
    const Time split = stage.input_grad + stage.weight_grad;
    switch (op.kind()) {
      case OpKind::Forward:
        return stage.forward + stage.exposed_forward;
      case OpKind::BackwardInput:
        return stage.input_grad + stage.exposed_input_grad;
      case OpKind::BackwardWeight:
        return stage.weight_grad;
      case OpKind::Backward:
        return stage.backward.value_or(split) + stage.exposed_input_grad;
    }
    return {};
  }

  Time duration(const Action& action) const {
    if (!action.is_pair())
      return duration(action.op());
    const auto forward = cost(action.op().stage()).overlapped;
    const auto backward = cost(action.overlapped().stage()).overlapped;
    if (forward && backward)
      return (*forward + *backward + Time(1)) / 2;
    return duration(action.op()) + duration(action.overlapped());
  }

  Time message(const Op& made) const {
    const Stage sent_by = made.kind() == OpKind::Forward ? made.stage() : made.stage() - 1;
    const double rate = costs_.link.bytes_per_second;
    const double seconds = rate > 0 ? static_cast<double>(cost(sent_by).message) / rate : 0;
    return costs_.link.latency + Time(std::llround(seconds * 1e9));
  }

  const Schedule& schedule_;
  const CostSource& costs_;
  std::vector<std::vector<NaiveWait>> waits_;
  std::vector<std::optional<Span>> spans_;
};

/// [action] of a schedule, whatever the graph numbers it.
std::vector<Span> spans_by_action(const Schedule& schedule, const CostSource& costs) {
  const DependencyGraph graph = graph_of(schedule, costs, kAsGiven);
  const Timeline timeline = simulate(graph);
  std::vector<Span> spans(graph.size());
  for (NodeId node = 0; node < graph.size(); ++node)
    spans[graph.action_index()[node]] = timeline.spans[node];
  return spans;
}

Time step_time(const std::vector<Span>& spans) {
  Time end{};
  for (const Span& span : spans)
    end = std::max(end, span.end);
  return end;
}

/// A random permutation of 0 … size−1.
std::vector<int> shuffled(std::mt19937_64& engine, int size) {
  std::vector<int> order;
  for (int i = 0; i < size; ++i)
    order.insert(order.begin() + draw_int(engine, {0, i}), i);
  return order;
}

/// The same schedule with ranks and the micro-batches of each pipe called by other numbers.
struct Relabelled {
  Schedule schedule;
  std::vector<int> rank;  // [old] new
};

Relabelled relabel(std::mt19937_64& engine, const Schedule& schedule) {
  Relabelled out{schedule, shuffled(engine, schedule.placement.ranks)};
  const int per_pipe = schedule.microbatches_per_pipe();
  const std::vector<int> microbatch = shuffled(engine, per_pipe);
  const auto renamed = [&](const Op& op) {
    const int first = op.microbatch() / per_pipe * per_pipe;
    const auto i = static_cast<std::size_t>(op.microbatch() - first);
    return Op(op.kind(), op.stage(), first + microbatch[i]);
  };
  for (Rank& rank : out.schedule.placement.rank_of_stage)
    rank = out.rank[static_cast<std::size_t>(rank)];
  Orders orders(out.rank.size());
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank)
    for (const Action& action : schedule.order(rank))
      orders[static_cast<std::size_t>(out.rank[static_cast<std::size_t>(rank)])].push_back(
          action.is_pair() ? Action(renamed(action.op()), renamed(action.overlapped()))
                           : Action(renamed(action.op())));
  set_orders(out.schedule, orders);
  return out;
}

struct RandomCase {
  explicit RandomCase(std::uint64_t seed) : engine(seed) {}
  std::mt19937_64 engine;
  Schedule schedule = random_schedule(engine);
  CostSource costs = random_costs(engine, schedule.placement);
};

}  // namespace

TEST_CASE("Sweep and events give the same Timeline") {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    const RandomCase each(seed);
    const DependencyGraph graph = graph_of(each.schedule, each.costs, kAsGiven);
    const Timeline swept = simulate(graph, Engine::Sweep);
    CHECK(swept.source == "simulated");
    REQUIRE(swept.spans == simulate(graph, Engine::Events).spans);
  }
}

TEST_CASE("Every action starts as early as the longest path to it allows") {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    const RandomCase each(seed);
    LongestPath path(each.schedule, each.costs);
    const std::vector<Span> spans = spans_by_action(each.schedule, each.costs);
    for (std::size_t action = 0; action < spans.size(); ++action) {
      CAPTURE(to_string(each.schedule.actions[action]));
      REQUIRE(spans[action].start.count() == path.span(action).start.count());
      REQUIRE(spans[action].end.count() == path.span(action).end.count());
    }
  }
}

TEST_CASE("Latency and longer actions never shorten the step") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    RandomCase each(seed);
    const Time before = step_time(spans_by_action(each.schedule, each.costs));
    each.costs.link.latency += Time(draw(each.engine, {1, 10}));
    const Time slower = step_time(spans_by_action(each.schedule, each.costs));
    CHECK(slower >= before);
    each.costs.stages.back().forward += Time(draw(each.engine, {1, 10}));
    CHECK(step_time(spans_by_action(each.schedule, each.costs)) >= slower);
  }
}

TEST_CASE("Other numbers for ranks and micro-batches change no time") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    RandomCase each(seed);
    const Relabelled other = relabel(each.engine, each.schedule);
    const std::vector<Span> spans = spans_by_action(each.schedule, each.costs);
    const std::vector<Span> renamed = spans_by_action(other.schedule, each.costs);
    for (std::size_t rank = 0; rank < other.rank.size(); ++rank) {
      const auto new_rank = static_cast<std::size_t>(other.rank[rank]);
      const std::size_t first = each.schedule.first_action[rank];
      const std::size_t size = each.schedule.first_action[rank + 1] - first;
      for (std::size_t i = 0; i < size; ++i)
        REQUIRE(spans[first + i] == renamed[other.schedule.first_action[new_rank] + i]);
    }
  }
}

TEST_CASE("The step takes at least as long as the busiest rank") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    const RandomCase each(seed);
    const DependencyGraph graph = graph_of(each.schedule, each.costs, kAsGiven);
    std::vector<Time> busy(static_cast<std::size_t>(each.schedule.placement.ranks));
    for (NodeId node = 0; node < graph.size(); ++node)
      busy[static_cast<std::size_t>(graph.rank()[node])] += graph.duration()[node];
    CHECK(step_time(spans_by_action(each.schedule, each.costs)) >=
          *std::max_element(busy.begin(), busy.end()));
  }
}

TEST_CASE("Two ranks by hand") {
  const Schedule schedule = written(loop_placement({.ranks = 2, .chunks = 1}), 2,
                                    {"0F0 0F1 0B0 0I1 0W1", "1F0 1B0 1F1 1B1"});
  const SimpleCosts costs{.forward = 10, .input_grad = 20, .weight_grad = 5, .hop = 3};
  const std::vector<Span> expected = {
      {Time(0), Time(10)},    {Time(10), Time(20)}, {Time(51), Time(76)}, {Time(86), Time(106)},
      {Time(106), Time(111)},  // rank 0
      {Time(13), Time(23)},   {Time(23), Time(48)}, {Time(48), Time(58)}, {Time(58), Time(83)}};
  CHECK(spans_by_action(schedule, simple_costs(costs)) == expected);
}

}  // namespace bubblescope

// How costs are laid over stages: by hand, one rule a test.
#include "sim/costs/cost_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <initializer_list>
#include <limits>

#include <doctest/doctest.h>

#include "sim/base/error.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/simulate.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

constexpr Op kF0{OpKind::Forward, 0, 0};
constexpr Op kI0{OpKind::BackwardInput, 0, 0};
constexpr Op kW0{OpKind::BackwardWeight, 0, 0};
constexpr Op kB0{OpKind::Backward, 0, 0};

/// F, I, W and B of stage 0 in ns.
std::vector<std::int64_t> durations(const CostModel& costs) {
  std::vector<std::int64_t> ns;
  for (const Op& op : {kF0, kI0, kW0, kB0})
    ns.push_back(costs.duration(op).count());
  return ns;
}

/// A loop of four ranks with v stages on each.
CostModel chunked(const CostSource& source, int chunks, CostPer per = CostPer::WholeRank) {
  return {source, loop_placement({.ranks = 4, .chunks = chunks}), {.per = per}};
}

/// Stage by stage, on crossing pipes of as many ranks; stage k shares its rank with stage 2p−1−k.
CostModel crossing(std::initializer_list<StageCost> stages, Overlap overlap = Overlap::Auto) {
  const CostSource source{.name = "mine", .stage_by_stage = true, .stages = stages};
  const int ranks = static_cast<int>(stages.size());
  return {source, bidirectional_placement(ranks), {.overlap = overlap}};
}

/// On rank 0 of two: F of stage 0 with B of stage 3, which costs what stage 1 does.
constexpr Action kPair(kF0, Op(OpKind::Backward, 3, 2));

}  // namespace

TEST_CASE("Chunks share what a rank costs and the full backward is the sum of rounded parts") {
  const CostSource source = simple_costs({.forward = 5, .input_grad = 3, .weight_grad = 9});
  CHECK(durations(chunked(source, 1)) == std::vector<std::int64_t>{5, 3, 9, 12});
  CHECK(durations(chunked(source, 2)) == std::vector<std::int64_t>{3, 2, 5, 7});
  CHECK(durations(chunked(source, 3)) == std::vector<std::int64_t>{2, 1, 3, 4});
  CHECK(durations(chunked(source, 2, CostPer::OneStage)) == std::vector<std::int64_t>{5, 3, 9, 12});
}

TEST_CASE("A full backward that is given is divided by itself") {
  CostSource source = simple_costs({.forward = 5, .input_grad = 3, .weight_grad = 9});
  source.stages[0].backward = Time(21);
  CHECK(durations(chunked(source, 1)) == std::vector<std::int64_t>{5, 3, 9, 21});
  CHECK(durations(chunked(source, 2)) == std::vector<std::int64_t>{3, 2, 5, 11});
}

TEST_CASE("Chunks share exposed communication and bytes but no message and no latency") {
  CostSource source = simple_costs({.forward = 10, .input_grad = 20, .hop = 7});
  StageCost& stage = source.stages[0];
  stage.exposed_forward = Time(6);
  stage.exposed_input_grad = Time(8);
  stage.overlapped = Time(31);
  stage.activation = 101;
  stage.activation_after_input_grad = 50;
  stage.weights = 1000;
  stage.message = 64;
  source.link.bytes_per_second = 1e9;
  const CostModel costs = chunked(source, 2);
  CHECK(costs.duration(kF0) == Time(5 + 3));
  CHECK(costs.duration(kI0) == Time(10 + 4));
  CHECK(costs.exposed_communication(kF0) == Time(3));
  CHECK(costs.activation_change(kF0) == 51);
  CHECK(costs.activation_change(kI0) == 25 - 51);
  CHECK(costs.weight_bytes(0) == 500);
  CHECK(costs.duration(Action(kF0, Op(OpKind::Backward, 0, 1))) == Time(16));
  CHECK(costs.message_bytes(kF0) == 64);
  CHECK(costs.message_time(kF0) == Time(7 + 64));
}

TEST_CASE("Costs stage by stage stand as they are and repeat in the second pipe") {
  const CostModel costs = crossing({{.forward = Time(3)}, {.forward = Time(5)}});
  const std::int64_t expected[] = {3, 5, 3, 5};
  for (Stage stage = 0; stage < 4; ++stage)
    CHECK(costs.duration(Op(OpKind::Forward, stage, 0)).count() == expected[stage]);
  const CostSource source{.name = "mine", .stage_by_stage = true, .stages = {{}, {}, {}, {}}};
  CHECK_NOTHROW(CostModel(source, loop_placement({.ranks = 2, .chunks = 2}), {}));
  CHECK_THROWS_WITH_AS(CostModel(source, loop_placement({.ranks = 2, .chunks = 1}), {}),
                       "mine: the costs are for 4 stages, and its pipe has 2", Error);
}

TEST_CASE("A pair takes the mean of its stages' overlapped times") {
  const CostModel costs = crossing({{.forward = Time(1), .overlapped = Time(10)},
                                    {.input_grad = Time(1), .overlapped = Time(16)}});
  CHECK(costs.duration(kPair) == Time(13));
  CHECK(costs.duration(Action(kF0, Op(OpKind::Backward, 0, 1))) == Time(10));
}

TEST_CASE("Where a stage lacks an overlapped time a pair is its F and then its B") {
  const StageCost first{.forward = Time(4), .overlapped = Time(10)};
  const StageCost last{
      .input_grad = Time(5), .weight_grad = Time(6), .exposed_input_grad = Time(1)};
  CHECK(crossing({first, last}).duration(kPair) == Time(4 + 5 + 6 + 1));
  CHECK_THROWS_WITH_AS(crossing({first, last}, Overlap::Given),
                       "mine: the costs give no time for an overlapped F&B pair", Error);
  CHECK(crossing({first, first}, Overlap::Given).duration(kPair) == Time(10));
  CHECK(crossing({first, first}, Overlap::Sum).duration(kPair) == Time(4));
}

TEST_CASE("Outside a pair F and I and B pay exposed communication and W pays none") {
  const StageCost stage{.forward = Time(10),
                        .input_grad = Time(20),
                        .weight_grad = Time(5),
                        .exposed_forward = Time(2),
                        .exposed_input_grad = Time(3)};
  const CostModel costs = crossing({stage, stage});
  CHECK(durations(costs) == std::vector<std::int64_t>{12, 23, 5, 28});
  const std::int64_t exposed[] = {2, 3, 0, 3};
  for (const Op& op : {kF0, kI0, kW0, kB0})
    CHECK(costs.exposed_communication(op).count() == exposed[static_cast<std::size_t>(op.kind())]);
}

TEST_CASE("A pair exposes what it takes beyond its computation and no more than is there") {
  struct Case {
    std::int64_t overlapped;
    std::int64_t exposed;
  };
  for (const Case each : {Case{30, 0}, Case{35, 0}, Case{37, 2}, Case{40, 5}, Case{50, 5}}) {
    CAPTURE(each.overlapped);
    const StageCost stage{.forward = Time(10),
                          .input_grad = Time(20),
                          .weight_grad = Time(5),
                          .overlapped = Time(each.overlapped),
                          .exposed_forward = Time(2),
                          .exposed_input_grad = Time(3)};
    CHECK(crossing({stage, stage}).exposed_communication(kPair) == Time(each.exposed));
    CHECK(crossing({stage, stage}, Overlap::Sum).exposed_communication(kPair) == Time(5));
  }
}

TEST_CASE("A message takes latency and bytes over bandwidth") {
  CostSource source = simple_costs({.hop = 100});
  source.stages[0].message = 1'000'000;
  CHECK(chunked(source, 1).message_time(kF0) == Time(100));  // no bandwidth: unlimited
  source.link.bytes_per_second = 3e9;
  CHECK(chunked(source, 1).message_time(kF0) == Time(100 + 333'333));
  source.link.bytes_per_second = 1e-6;
  CHECK_THROWS_AS(chunked(source, 1).message_time(kF0), Error);
}

TEST_CASE("A gradient is as large as the activation that the stage before sent") {
  CostSource source{.name = "mine",
                    .stage_by_stage = true,
                    .stages = {{.message = 10}, {.message = 20}, {.message = 30}},
                    .link = {.bytes_per_second = 1e9}};
  const CostModel costs(source, bidirectional_placement(3), {});
  CHECK(costs.message_bytes(Op(OpKind::Forward, 1, 0)) == 20);
  CHECK(costs.message_bytes(Op(OpKind::BackwardInput, 1, 0)) == 10);
  CHECK(costs.message_bytes(Op(OpKind::Backward, 2, 0)) == 20);
  CHECK(costs.message_bytes(Op(OpKind::Forward, 3, 0)) == 10);
  CHECK(costs.message_time(Op(OpKind::Backward, 5, 0)) == Time(20));
}

TEST_CASE("An activation is born at F and shrinks at I and is gone after W or B") {
  StageCost stage{.activation = 100, .activation_after_input_grad = 30, .weights = 7};
  const std::vector<Bytes> expected[] = {{100, -70, -30, -100}, {100, 0, -100, -100}};
  StageCost made_again = stage;
  made_again.activation_after_input_grad = 130;
  CHECK(crossing({made_again, made_again}).activation_change(kI0) == 30);
  CHECK(crossing({made_again, made_again}).activation_change(kW0) == -130);
  for (const auto& changes : expected) {
    const CostModel costs = crossing({stage, stage});
    for (const Op& op : {kF0, kI0, kW0, kB0})
      CHECK(costs.activation_change(op) == changes[static_cast<std::size_t>(op.kind())]);
    stage.activation_after_input_grad.reset();
  }
}

TEST_CASE("Sizes are told where every stage has activations and weights") {
  const StageCost whole{.activation = 1, .weights = 1};
  CHECK(crossing({whole, whole}).tells_sizes());
  CHECK_FALSE(crossing({whole, {.activation = 1}}).tells_sizes());
  CHECK_FALSE(crossing({{.weights = 1}, whole}).tells_sizes());
  CHECK_FALSE(free_costs(bidirectional_placement(2)).tells_sizes());
}

TEST_CASE("As many actions as can be added up fit a Time with their messages") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const Schedule schedule = random_schedule(engine);
    const CostModel costs(random_costs(engine, schedule.placement), schedule.placement, {});
    Time longest{};
    Time message{};
    for (const Action& action : schedule.actions) {
      longest = std::max(longest, costs.duration(action));
      message = std::max(message, costs.message_time(Op(OpKind::Forward, action.op().stage(), 0)));
    }
    std::size_t most = std::size_t{1} << 62;
    while (!costs.can_add_up(most))
      most -= most / 8;
    const auto chain =
        static_cast<long double>(most) * static_cast<long double>((longest + message).count());
    REQUIRE(chain <= static_cast<long double>(Time::max().count()));
  }
}

TEST_CASE("A graph whose times could overflow is refused") {
  const std::int64_t eleven_days = time_from_us(1e12).count();
  const CostSource source =
      simple_costs({eleven_days, eleven_days, eleven_days, eleven_days, eleven_days});
  const auto build = [&](int microbatches) {
    return graph_of(make_schedule(*find_schedule("1f1b"), {4, microbatches}), source);
  };
  const DependencyGraph longest = build(20);
  for (const Span& span : simulate(longest).spans)
    CHECK(span.start < span.end);
  CHECK_THROWS_WITH_AS(build(200),
                       "schedule 1f1b: the costs are too large: the times and sizes of 1600 "
                       "actions cannot be added up",
                       Error);
}

TEST_CASE("A graph whose sizes could overflow is refused") {
  const Schedule schedule = make_schedule(*find_schedule("gpipe"), {2, 8});
  struct Case {
    Bytes activation;
    Bytes weights;
    bool is_refused;
  };
  constexpr Bytes kMost = 9'000'000'000'000'000'000;  // that a cost file may say
  for (const Case each : {Case{kMost, 1, true}, Case{1, kMost, true}, Case{kMost / 8, 1, true},
                          Case{kMost / 1000, kMost / 1000, false}}) {
    CAPTURE(each.activation);
    CAPTURE(each.weights);
    const StageCost stage{.activation = each.activation, .weights = each.weights};
    const CostSource source{.name = "mine", .stages = {stage}};
    const CostModel costs(source, schedule.placement, {});
    CHECK(costs.can_add_up(schedule.actions.size()) == !each.is_refused);
    CHECK(error_of([&] { graph_of(schedule, source); }).empty() == !each.is_refused);
  }
}

TEST_CASE("Microseconds become whole nanoseconds from 0 to eleven days") {
  CHECK(time_from_us(0) == Time(0));
  CHECK(time_from_us(0.0004) == Time(0));
  CHECK(time_from_us(0.0005) == Time(1));
  CHECK(time_from_us(1.2345678) == Time(1235));
  CHECK(time_from_us(1e12) == std::chrono::seconds(1'000'000));
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {-1e-9, 1.1e12, 1e30, infinity, -infinity, std::nan("")})
    CHECK_THROWS_AS(time_from_us(bad), Error);
}

}  // namespace bubblescope

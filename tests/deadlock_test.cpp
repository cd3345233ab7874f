// Orders that deadlock: found whenever there is one, and told by a circle that the run comes to.
#include "sim/program/deadlock.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/engine/dependency_graph.h"
#include "sim/formats/torch_csv.h"
#include "sim/program/lowering.h"
#include "sim/program/posting.h"
#include "sim/program/program_check.h"
#include "sim/schedule/catalogue.h"
#include "sim/schedule/order_check.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

/// What `build_graph` has to say against the schedule.
std::string complaint(const Schedule& schedule) {
  return error_of(
      [&] { build_graph(post_messages(schedule, Comm::Ideal), free_costs(schedule.placement)); });
}

/// A random order of what one rank has to do: each stage and micro-batch by itself in order.
std::vector<Action> random_order(std::mt19937_64& engine, const Schedule& schedule, Rank rank) {
  std::vector<std::vector<Op>> chains;
  const int per_pipe = schedule.microbatches_per_pipe();
  for (Stage stage = 0; stage < schedule.placement.stages(); ++stage)
    for (MicroBatch i = 0; i < per_pipe; ++i) {
      if (schedule.placement.rank_of_stage[static_cast<std::size_t>(stage)] != rank)
        continue;
      const auto op = [&](OpKind kind) {
        return Op(kind, stage, stage / schedule.placement.depth * per_pipe + i);
      };
      if (draw_chance(engine, 50))
        chains.push_back({op(OpKind::Backward), op(OpKind::Forward)});
      else
        chains.push_back(
            {op(OpKind::BackwardWeight), op(OpKind::BackwardInput), op(OpKind::Forward)});
    }
  std::vector<Action> order;
  const auto take = [&](std::size_t chain) {
    const Op op = chains[chain].back();
    chains[chain].pop_back();
    if (chains[chain].empty())
      chains.erase(chains.begin() + static_cast<std::ptrdiff_t>(chain));
    return op;
  };
  while (!chains.empty()) {
    const Op op = take(draw_index(engine, chains.size()));
    const std::size_t other = chains.empty() ? 0 : draw_index(engine, chains.size());
    const bool is_pair =
        !chains.empty() && op.kind() == OpKind::Forward &&
        chains[other].back().kind() == OpKind::Backward &&
        !(chains[other].back() == Op(OpKind::Backward, op.stage(), op.microbatch()));
    order.push_back(is_pair ? Action(op, take(other)) : Action(op));
  }
  return order;
}

/// Whether the run comes to an action, which it may then start or not.
bool is_reached(const std::vector<NaiveWait>& waits, const std::vector<bool>& ran) {
  return std::all_of(waits.begin(), waits.end(),
                     [&](const NaiveWait& wait) { return wait.output || ran[wait.producer]; });
}

/// The fewest waits in any circle where the run stops (Floyd and Warshall): the actions that it has
/// come to wait for outputs, which counts one, all others for what comes before, which is nothing.
int fewest_waits(const std::vector<std::vector<NaiveWait>>& waits, const std::vector<bool>& ran) {
  constexpr int kFar = std::numeric_limits<int>::max() / 2;
  const std::size_t n = waits.size();
  std::vector<int> distance(n * n, kFar);
  for (std::size_t i = 0; i < n; ++i)
    for (const NaiveWait& wait : waits[i])
      if (!ran[i] && !ran[wait.producer] && (!wait.output || is_reached(waits[i], ran))) {
        int& known = distance[i * n + wait.producer];
        known = std::min(known, wait.output ? 1 : 0);
      }
  for (std::size_t via = 0; via < n; ++via)
    for (std::size_t from = 0; from < n; ++from) {
      const int first = distance[from * n + via];
      for (std::size_t to = 0; first < kFar && to < n; ++to)
        distance[from * n + to] = std::min(distance[from * n + to], first + distance[via * n + to]);
    }
  int fewest = kFar;
  for (std::size_t i = 0; i < n; ++i)
    fewest = std::min(fewest, distance[i * n + i]);
  return fewest;
}

/// Follows the circle that `message` tells, step by step: how many waits it has, or none if a step
/// is untrue or the circle does not close.
std::optional<int> told_waits(const Schedule& schedule,
                              const std::vector<std::vector<NaiveWait>>& waits,
                              const std::vector<bool>& ran, std::string_view message) {
  std::optional<std::size_t> first;
  std::size_t at = 0;
  int told = 0;
  message.remove_prefix(message.find('\n'));
  for (auto place = message.find("rank "); place != message.npos; place = message.find("rank ")) {
    const std::string_view before = message.substr(0, place);
    message.remove_prefix(place);
    std::size_t rank = 0;
    std::size_t index = 0;
    int length = 0;
    if (std::sscanf(message.data(), "rank %zu, step %zu %n", &rank, &index, &length) != 2)
      return std::nullopt;
    message.remove_prefix(static_cast<std::size_t>(length));
    const std::size_t next = schedule.first_action[rank] + index;
    bool is_true = message.starts_with("(" + to_string(schedule.actions[next]) + ")");
    if (!first)
      first = next;
    else if (before.ends_with("comes after "))
      is_true = is_true && next < at && schedule.first_action[rank + 1] > at;
    else
      is_true =
          is_true && before.ends_with("waits for ") && ++told > 0 && is_reached(waits[at], ran) &&
          std::any_of(waits[at].begin(), waits[at].end(),
                      [&](const NaiveWait& wait) { return wait.output && wait.producer == next; });
    if (!is_true)
      return std::nullopt;
    at = next;
  }
  return first == at ? std::optional(told) : std::nullopt;
}

}  // namespace

TEST_CASE("A circle of two ranks is told by rank and action") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 2, {"0F0 0B0 0F1 0B1", "1F0 1F1 1B1 1B0"});
  CHECK(complaint(schedule) ==
        "schedule mine: ranks wait for one another in a circle:\n"
        "  rank 0, step 1 (0B0) waits for rank 1, step 3 (1B0),\n"
        "  which comes after rank 1, step 1 (1F1),\n"
        "  which waits for rank 0, step 2 (0F1),\n"
        "  which comes after rank 0, step 1 (0B0)");
}

TEST_CASE("A circle of three ranks is told by rank and action") {
  Placement strewn{.ranks = 3, .pipes = 1, .depth = 6};
  strewn.rank_of_stage = {0, 1, 1, 2, 2, 0};
  strewn.weights_of_stage = {0, 1, 2, 3, 4, 5};
  const Schedule schedule =
      written(strewn, 2,
              {"0F0 5F0 0F1 5F1 5B0 5B1 0B0 0B1", "1F0 1F1 2F0 2F1 2B0 1B0 2B1 1B1",
               "3F0 4F0 3F1 4F1 4B0 3B0 4B1 3B1"});
  CHECK(complaint(schedule) ==
        "schedule mine: ranks wait for one another in a circle:\n"
        "  rank 0, step 1 (5F0) waits for rank 2, step 1 (4F0),\n"
        "  which comes after rank 2, step 0 (3F0),\n"
        "  which waits for rank 1, step 2 (2F0),\n"
        "  which comes after rank 1, step 1 (1F1),\n"
        "  which waits for rank 0, step 2 (0F1),\n"
        "  which comes after rank 0, step 1 (5F0)");
}

TEST_CASE("A rank that waits for itself is told too") {
  const Schedule schedule =
      written(loop_placement({.ranks = 1, .chunks = 2}), 1, {"1F0 0F0 1B0 0B0"});
  CHECK(complaint(schedule) ==
        "schedule mine: ranks wait for one another in a circle:\n"
        "  rank 0, step 0 (1F0) waits for rank 0, step 1 (0F0),\n"
        "  which comes after rank 0, step 0 (1F0)");
}

TEST_CASE("A pair that waits for itself over another rank is told as a pair") {
  const Schedule schedule = written(loop_placement({.ranks = 2, .chunks = 1}), 2,
                                    {"0F0 (0F1;0B0)OVERLAP_F_B 0B1", "1F0 1F1 1B0 1B1"});
  CHECK(complaint(schedule) ==
        "schedule mine: ranks wait for one another in a circle:\n"
        "  rank 0, step 1 ((0F1;0B0)OVERLAP_F_B) waits for rank 1, step 2 (1B0),\n"
        "  which comes after rank 1, step 1 (1F1),\n"
        "  which waits for rank 0, step 1 ((0F1;0B0)OVERLAP_F_B)");
}

TEST_CASE("The circle told is one that the run comes to, and not a later one") {
  const Schedule order =
      make_schedule(*find_schedule("interleaved-1f1b"), {.ranks = 2, .microbatches = 4});
  std::string csv;  // each receive right before what needs it, each send right after its maker
  for (Rank rank = 0; rank < 2; ++rank) {
    for (const Action& action : order.order(rank)) {
      const int stage = action.op().stage();
      const bool is_forward = action.op().kind() == OpKind::Forward;
      const std::string message =
          fmt::format("{}{}", is_forward ? 'F' : 'B', action.op().microbatch());
      if (stage != (is_forward ? 0 : 3))
        csv += fmt::format("{}RECV_{},", stage, message);
      csv += fmt::format("{}{},", stage, message);
      if (stage != (is_forward ? 3 : 0))
        csv += fmt::format("{}SEND_{},", stage, message);
    }
    csv.back() = '\n';
  }
  std::vector<std::string> notes;
  const PostedProgram program = parse_torch_csv(csv, "mine.csv", Dialect::Auto, notes);
  REQUIRE(!can_run(lower(program)));
  CHECK(describe_deadlock(lower(program)) ==
        "ranks wait for one another in a circle:\n"
        "  rank 0, step 3 (0SEND_F1) waits for rank 1, step 3 (1RECV_F1),\n"
        "  which stands behind rank 1, step 2 (1SEND_F0),\n"
        "  which waits for rank 0, step 4 (2RECV_F0),\n"
        "  which stands behind rank 0, step 3 (0SEND_F1)");
}

TEST_CASE("Random orders are refused where they get stuck and told by a shortest circle") {
  int stuck = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const RandomLimits limits{.ranks = 3, .chunks = 2, .microbatches = 2};
    Schedule schedule{.name = "mine", .placement = random_placement(engine, limits)};
    schedule.microbatches = random_microbatches(engine, schedule.placement, limits);
    Orders orders;
    for (Rank rank = 0; rank < schedule.placement.ranks; ++rank)
      orders.push_back(random_order(engine, schedule, rank));
    set_orders(schedule, orders);
    REQUIRE_NOTHROW(check_orders(schedule));
    const auto waits = naive_waits(schedule);
    const auto ran = naive_run(schedule);
    const bool is_stuck = std::find(ran.begin(), ran.end(), false) != ran.end();
    const std::string message = complaint(schedule);
    CAPTURE(message);
    REQUIRE(!message.empty() == is_stuck);
    if (is_stuck)
      CHECK(told_waits(schedule, waits, ran, message) == fewest_waits(waits, ran));
    stuck += is_stuck ? 1 : 0;
  }
  CHECK(stuck > 400);
  CHECK(stuck < 1900);
}

TEST_CASE("A receive that stands behind the action that needs it is told too") {
  PostedProgram program =
      post_messages(make_schedule(*find_schedule("gpipe"), {2, 1}), Comm::Torch);
  const std::size_t first_of_1 = slot_before(1, program.schedule.first_action[1]);
  Transfers late;
  for (std::size_t slot = 0; slot < program.transfers.slots(); ++slot) {
    if (slot == first_of_1 + 1)
      for (const Transfer& transfer : program.transfers.slot(first_of_1))
        late.post(transfer);
    if (slot != first_of_1)
      for (const Transfer& transfer : program.transfers.slot(slot))
        late.post(transfer);
    late.end_slot();
  }
  program.transfers = late;
  REQUIRE(find_fault(program));
  const Program lowered = lower(program);
  CHECK_FALSE(can_run(lowered));
  CHECK(describe_deadlock(lowered) ==
        "a rank waits for what it does later itself:\n"
        "  rank 1, step 1 (1F0) needs rank 1, step 2 (1RECV_F0),\n"
        "  which comes after rank 1, step 1 (1F0)");
}

}  // namespace bubblescope

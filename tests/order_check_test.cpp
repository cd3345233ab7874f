// What makes a rank's order unsound, in which words it is told, and that nothing else is.
#include "sim/schedule/order_check.h"

#include <algorithm>
#include <set>
#include <tuple>

#include <doctest/doctest.h>

#include "sim/base/error.h"
#include "tests/support/random_schedule.h"
#include "tests/support/sound.h"

namespace bubblescope {
namespace {

/// A replay with sets: 'F', 'I' and 'W' of a stage and micro-batch, each once and in that order.
class Replay {
 public:
  explicit Replay(const Schedule& schedule)
      : placement_(schedule.placement), per_pipe_(schedule.microbatches / placement_.pipes) {
    for (Rank rank = 0; rank < placement_.ranks; ++rank)
      for (const Action& action : schedule.order(rank))
        sound_ = sound_ && (!action.is_pair() || is_f_and_b(action)) && run(rank, action.op()) &&
                 (!action.is_pair() || run(rank, action.overlapped()));
    sound_ =
        sound_ && done_.size() == static_cast<std::size_t>(3 * placement_.stages() * per_pipe_);
  }

  bool sound() const { return sound_; }

 private:
  static bool is_f_and_b(const Action& pair) {
    const Op& f = pair.op();
    const Op& b = pair.overlapped();
    return f.kind() == OpKind::Forward && b.kind() == OpKind::Backward &&
           std::tuple(f.stage(), f.microbatch()) != std::tuple(b.stage(), b.microbatch());
  }

  bool run(Rank rank, const Op& op) {
    const auto hosts = [&](Stage stage) {
      return stage < placement_.stages() &&
             placement_.rank_of_stage[static_cast<std::size_t>(stage)] == rank;
    };
    if (!hosts(op.stage()) || op.microbatch() < 0 ||
        op.microbatch() / per_pipe_ != op.stage() / placement_.depth)
      return false;
    const auto has = [&](char letter) {
      return done_.contains({letter, op.stage(), op.microbatch()});
    };
    const auto add = [&](char letter) {
      return done_.emplace(letter, op.stage(), op.microbatch()).second;
    };
    switch (op.kind()) {
      case OpKind::Forward:
        return add('F');
      case OpKind::BackwardInput:
        return has('F') && add('I');
      case OpKind::BackwardWeight:
        return has('I') && add('W');
      case OpKind::Backward:
        return has('F') && add('I') && add('W');
    }
    return false;
  }

  const Placement& placement_;
  int per_pipe_;
  std::set<std::tuple<char, Stage, MicroBatch>> done_;
  bool sound_ = true;
};

using Order = std::vector<Action>;

void drop(std::mt19937_64& engine, Orders&, Order& order) {
  order.erase(order.begin() + static_cast<std::ptrdiff_t>(draw_index(engine, order.size())));
}

/// An action once more, on the same rank or another.
void duplicate(std::mt19937_64& engine, Orders& orders, Order& order) {
  const Action action = order[draw_index(engine, order.size())];
  Order& target = draw_chance(engine, 50) ? order : orders[draw_index(engine, orders.size())];
  const auto place = static_cast<std::ptrdiff_t>(draw_index(engine, target.size() + 1));
  target.insert(target.begin() + place, action);
}

/// Two actions of a rank, neighbours as often as not, in each other's place.
void swap_two(std::mt19937_64& engine, Orders&, Order& order) {
  const std::size_t first = draw_index(engine, order.size());
  const bool neighbours = draw_chance(engine, 50) && first + 1 < order.size();
  std::swap(order[first], order[neighbours ? first + 1 : draw_index(engine, order.size())]);
}

/// Another kind, stage or micro-batch.
void change(std::mt19937_64& engine, Orders&, Order& order) {
  Action& action = order[draw_index(engine, order.size())];
  const Op& op = action.op();
  const auto other = [&] { return draw_int(engine, {-1, 1}); };
  const auto kind = static_cast<OpKind>(draw_index(engine, kOpKinds));
  // Braces: their contents are evaluated in order.
  const Op changed{draw_chance(engine, 50) ? kind : op.kind(), op.stage() + other(),
                   op.microbatch() + other()};
  action = draw_chance(engine, 50) ? Action(changed) : Action(changed, action.overlapped());
}

/// Two neighbours become one pair, whatever they are.
void join(std::mt19937_64& engine, Orders&, Order& order) {
  const std::size_t first = draw_index(engine, order.size());
  if (first + 1 < order.size()) {
    order[first] = Action(order[first].op(), order[first + 1].op());
    order.erase(order.begin() + static_cast<std::ptrdiff_t>(first) + 1);
  }
}

void mutate(std::mt19937_64& engine, Schedule& schedule) {
  constexpr void (*kMutations[])(std::mt19937_64&, Orders&, Order&) = {
      drop, duplicate, swap_two, swap_two, change, join};
  Orders orders = orders_of(schedule);
  Order& order = orders[draw_index(engine, orders.size())];
  kMutations[draw_index(engine, std::size(kMutations))](engine, orders, order);
  set_orders(schedule, orders);
}

}  // namespace

TEST_CASE("Each fault of one rank's order has its own message") {
  struct Case {
    std::string rank0;
    std::string fault;
  };
  const Case cases[] = {
      {"1F0", "action 0 (1F0): the stage is on another rank"},
      {"4F0", "action 0 (4F0): there is no such stage"},
      {"0F2", "action 0 (0F2): the stage's pipe has no such micro-batch"},
      {"3F1", "action 0 (3F1): the stage's pipe has no such micro-batch"},
      {"0F-1", "action 0 (0F-1): the stage's pipe has no such micro-batch"},
      {"0F0 3F2 0F0", "action 2 (0F0): was done before"},
      {"0F0 0B0 0I0", "action 2 (0I0): was done before"},
      {"0F0 0B0 0W0", "action 2 (0W0): was done before"},
      {"0F0 0I0 0B0", "action 2 (0B0): was done before"},
      {"0F0 0W0 0I0", "action 1 (0W0): comes before its I"},
      {"0F0 0B1", "action 1 (0B1): comes before its F"},
      {"0I0", "action 0 (0I0): comes before its F"},
      {"0F0 0B0 3F2 3B2 3F3 3B3", "micro-batch 1 on stage 0 lacks its F"},
      {"0F0 0B0 0F1 3F2 3B2 3F3 3B3", "micro-batch 1 on stage 0 lacks its B, or I and W"},
      {"0F0 0I0 0F1 0B1 3F2 3B2 3F3 3B3", "micro-batch 0 on stage 0 lacks its W"},
      {"0F0 0B0 0F1 0B1 3F2 3B2 3F3", "micro-batch 3 on stage 3 lacks its B, or I and W"},
      {"0F0 (0F1;0F0)OVERLAP_F_B", "action 1 ((0F1;0F0)OVERLAP_F_B): a pair is an F and a B"},
      {"0F0 (0F1;0I0)OVERLAP_F_B", "action 1 ((0F1;0I0)OVERLAP_F_B): a pair is an F and a B"},
      {"0F0 (0B0;0F1)OVERLAP_F_B", "action 1 ((0B0;0F1)OVERLAP_F_B): a pair is an F and a B"},
      {"(0F0;0B0)OVERLAP_F_B", "action 0 ((0F0;0B0)OVERLAP_F_B): a pair is of two micro-batches"},
      {"0F0 (0F0;0B0)OVERLAP_F_B", "action 1 ((0F0;0B0)OVERLAP_F_B): was done before"},
      {"0F0 (0F1;3B2)OVERLAP_F_B", "action 1 ((0F1;3B2)OVERLAP_F_B): comes before its F"},
      {"0F0 (0F1;1B0)OVERLAP_F_B", "action 1 ((0F1;1B0)OVERLAP_F_B): the stage is on another rank"},
      {"", "micro-batch 0 on stage 0 lacks its F"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.rank0);
    const Schedule schedule = written(bidirectional_placement(2), 4, {each.rank0, ""});
    const std::string message = "schedule mine, rank 0: " + each.fault;
    CHECK_THROWS_WITH_AS(check_orders(schedule), message.c_str(), Error);
  }
}

TEST_CASE("A fault of a later rank names that rank") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 1, {"0F0 0I0 0W0", "1F0 1W0"});
  CHECK_THROWS_WITH_AS(check_orders(schedule),
                       "schedule mine, rank 1: action 1 (1W0): comes before its I", Error);
}

TEST_CASE("Sound orders pass though they wait in a circle") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 2, {"0F0 0B0 0F1 0B1", "1F1 1B1 1F0 1B0"});
  CHECK_NOTHROW(check_orders(schedule));
  CHECK_THROWS_AS(require_sound(schedule), Error);
}

TEST_CASE("A random valid schedule is valid") {
  int pairs = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const Schedule schedule = random_schedule(engine);
    CHECK_NOTHROW(require_sound(schedule));
    CHECK(Replay(schedule).sound());
    pairs += static_cast<int>(std::count_if(schedule.actions.begin(), schedule.actions.end(),
                                            [](const Action& action) { return action.is_pair(); }));
  }
  CHECK(pairs > 300);
}

TEST_CASE("Mutated orders are judged as a replay with sets judges them") {
  int unsound = 0;
  int stuck = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    Schedule schedule = random_schedule(engine, {.ranks = 3, .chunks = 2, .microbatches = 3});
    mutate(engine, schedule);
    const bool sound = Replay(schedule).sound();
    CHECK(error_of([&] { check_orders(schedule); }).empty() == sound);
    const auto runs = [&] {
      const auto ran = naive_run(schedule);
      return std::find(ran.begin(), ran.end(), false) == ran.end();
    };
    const bool valid = sound && runs();
    CHECK(error_of([&] { require_sound(schedule); }).empty() == valid);
    unsound += sound ? 0 : 1;
    stuck += sound && !valid ? 1 : 0;
  }
  CHECK(unsound > 500);
  CHECK(unsound < 1900);
  CHECK(stuck > 20);
}

}  // namespace bubblescope

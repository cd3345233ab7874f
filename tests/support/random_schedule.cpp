#include "tests/support/random_schedule.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <tuple>
#include <utility>

#include <doctest/doctest.h>

#include "sim/program/posting.h"

namespace bubblescope {
namespace {

/// Executes ops in random order and writes down what each rank did.
class RandomRun {
 public:
  RandomRun(std::mt19937_64& engine, const Schedule& schedule, int pair_percent)
      : engine_(engine),
        placement_(schedule.placement),
        per_pipe_(schedule.microbatches_per_pipe()),
        pair_percent_(pair_percent),
        orders_(static_cast<std::size_t>(placement_.ranks)) {}

  Orders run() {
    for (auto ready = ready_ops(); !ready.empty(); ready = ready_ops())
      execute(ready[draw_index(engine_, ready.size())], ready);
    return std::move(orders_);
  }

 private:
  using Key = std::tuple<char, Stage, MicroBatch>;  // 'F', 'I' or 'W' of which a B is the last two

  bool done(char letter, Stage stage, MicroBatch microbatch) const {
    return done_.contains({letter, stage, microbatch});
  }
  Rank rank_of(const Op& op) const {
    return placement_.rank_of_stage[static_cast<std::size_t>(op.stage())];
  }

  std::vector<Op> ready_ops() const {
    std::vector<Op> ready;
    for (Stage s = 0; s < placement_.stages(); ++s) {
      const MicroBatch first = s / placement_.depth * per_pipe_;
      const bool is_last = (s + 1) % placement_.depth == 0;
      for (MicroBatch i = first; i < first + per_pipe_; ++i) {
        if (!done('F', s, i)) {
          if (s % placement_.depth == 0 || done('F', s - 1, i))
            ready.emplace_back(OpKind::Forward, s, i);
        } else if (!done('I', s, i)) {
          if (is_last || done('I', s + 1, i)) {
            ready.emplace_back(OpKind::BackwardInput, s, i);
            ready.emplace_back(OpKind::Backward, s, i);
          }
        } else if (!done('W', s, i)) {
          ready.emplace_back(OpKind::BackwardWeight, s, i);
        }
      }
    }
    return ready;
  }

  void execute(const Op& op, const std::vector<Op>& ready) {
    Action action(op);
    if (op.kind() == OpKind::Forward && draw_chance(engine_, pair_percent_)) {
      const auto partner = std::find_if(ready.begin(), ready.end(), [&](const Op& other) {
        return other.kind() == OpKind::Backward && rank_of(other) == rank_of(op);
      });
      if (partner != ready.end())
        action = Action(op, *partner);
    }
    action.for_each_op([&](const Op& each) {
      for (const char letter : {'F', 'I', 'W'})
        if (bubblescope::letter(each.kind()) == letter ||
            (each.kind() == OpKind::Backward && letter != 'F'))
          done_.emplace(letter, each.stage(), each.microbatch());
    });
    orders_[static_cast<std::size_t>(rank_of(op))].push_back(action);
  }

  std::mt19937_64& engine_;
  const Placement& placement_;
  int per_pipe_;
  int pair_percent_;
  Orders orders_;
  std::set<Key> done_;
};

Op parse_op(const std::string& token) {
  std::istringstream in(token);
  Stage stage = 0;
  char kind = ' ';
  MicroBatch microbatch = 0;
  in >> stage >> kind >> microbatch;
  const auto place = std::string("FIWB").find(kind);
  REQUIRE_MESSAGE((in && place != std::string::npos), "no op: " << token);
  return {static_cast<OpKind>(place), stage, microbatch};
}

Action parse_action(const std::string& token) {
  if (token.front() != '(')
    return parse_op(token);
  return {parse_op(token.substr(1)), parse_op(token.substr(token.find(';') + 1))};
}

Time draw_time(std::mt19937_64& engine) {
  return Time(draw_chance(engine, 25) ? 0 : draw(engine, {1, 30}));
}

StageCost random_stage(std::mt19937_64& engine) {
  StageCost stage{.forward = draw_time(engine),
                  .input_grad = draw_time(engine),
                  .weight_grad = draw_time(engine),
                  .exposed_forward = draw_time(engine),
                  .exposed_input_grad = draw_time(engine),
                  .message = 2 * draw(engine, {0, 20})};
  if (draw_chance(engine, 50))
    stage.backward = draw_time(engine);
  if (draw_chance(engine, 70))
    stage.overlapped = draw_time(engine);
  return stage;
}

}  // namespace

std::int64_t draw(std::mt19937_64& engine, Range range) {
  const auto size = static_cast<std::uint64_t>(range.most - range.least + 1);
  return range.least + static_cast<std::int64_t>(engine() % size);
}

int draw_int(std::mt19937_64& engine, Range range) {
  return static_cast<int>(draw(engine, range));
}

std::size_t draw_index(std::mt19937_64& engine, std::size_t size) {
  return static_cast<std::size_t>(engine() % size);
}

bool draw_chance(std::mt19937_64& engine, int percent) {
  return draw(engine, {1, 100}) <= percent;
}

Placement random_placement(std::mt19937_64& engine, RandomLimits limits) {
  const int ranks = draw_int(engine, {1, limits.ranks});
  const int chunks = draw_int(engine, {1, limits.chunks});
  const auto form = draw(engine, {0, 2});
  if (form == 0)
    return loop_placement({.ranks = ranks, .chunks = chunks});
  if (form == 1)
    return bidirectional_placement(ranks);
  Placement strewn{.ranks = ranks, .pipes = draw_int(engine, {1, 2}), .depth = ranks * chunks};
  for (Stage stage = 0; stage < strewn.stages(); ++stage) {
    strewn.rank_of_stage.push_back(stage < ranks ? stage : draw_int(engine, {0, ranks - 1}));
    strewn.weights_of_stage.push_back(stage % strewn.depth);
  }
  for (std::size_t i = strewn.rank_of_stage.size(); i > 1; --i)
    std::swap(strewn.rank_of_stage[i - 1], strewn.rank_of_stage[draw_index(engine, i)]);
  return strewn;
}

int random_microbatches(std::mt19937_64& engine, const Placement& placement, RandomLimits limits) {
  return placement.pipes * draw_int(engine, {1, limits.microbatches / placement.pipes});
}

Schedule random_schedule(std::mt19937_64& engine, RandomLimits limits) {
  Schedule schedule{.name = "random", .placement = random_placement(engine, limits)};
  schedule.microbatches = random_microbatches(engine, schedule.placement, limits);
  set_orders(schedule, RandomRun(engine, schedule, limits.pair_percent).run());
  return schedule;
}

CostSource random_costs(std::mt19937_64& engine, const Placement& placement) {
  CostSource source{.name = "random", .stage_by_stage = draw_chance(engine, 50)};
  for (int stage = 0; stage < (source.stage_by_stage ? placement.depth : 1); ++stage)
    source.stages.push_back(random_stage(engine));
  const double gigabytes[] = {0, 0.5, 1, 2};
  source.link.latency = draw_time(engine);
  source.link.bytes_per_second = gigabytes[draw_index(engine, 4)] * 1e9;
  return source;
}

DependencyGraph graph_of(const Schedule& schedule, const CostSource& costs,
                         const CostOptions& options) {
  const CostModel model(costs, schedule.placement, options);
  return build_graph(post_messages(schedule, Comm::Ideal), model);
}

Orders orders_of(const Schedule& schedule) {
  Orders orders;
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    const auto order = schedule.order(rank);
    orders.emplace_back(order.begin(), order.end());
  }
  return orders;
}

void set_orders(Schedule& schedule, const Orders& orders) {
  schedule.actions.clear();
  schedule.first_action = {0};
  for (const auto& order : orders) {
    schedule.actions.insert(schedule.actions.end(), order.begin(), order.end());
    schedule.first_action.push_back(schedule.actions.size());
  }
}

Schedule written(const Placement& placement, int microbatches,
                 const std::vector<std::string>& orders) {
  Schedule schedule{.name = "mine", .microbatches = microbatches, .placement = placement};
  Orders actions;
  for (const std::string& line : orders) {
    auto& order = actions.emplace_back();
    std::istringstream in(line);
    for (std::string token; in >> token;)
      order.push_back(parse_action(token));
  }
  set_orders(schedule, actions);
  return schedule;
}

std::vector<std::vector<NaiveWait>> naive_waits(const Schedule& schedule) {
  using Output = std::tuple<bool, Stage, MicroBatch>;  // backward?
  struct Maker {
    std::size_t action;
    Op op;
  };
  const auto is_backward = [](const Op& op) { return op.kind() != OpKind::Forward; };
  std::map<Output, Maker> makers;
  for (std::size_t i = 0; i < schedule.actions.size(); ++i)
    schedule.actions[i].for_each_op([&](const Op& op) {
      if (op.kind() != OpKind::BackwardWeight)
        makers.insert({{is_backward(op), op.stage(), op.microbatch()}, {i, op}});
    });
  const Placement& placement = schedule.placement;
  const auto rank_of = [&](Stage s) {
    return placement.rank_of_stage[static_cast<std::size_t>(s)];
  };
  std::vector<std::vector<NaiveWait>> waits(schedule.actions.size());
  for (std::size_t i = 0; i < waits.size(); ++i) {
    const auto& starts = schedule.first_action;
    if (std::find(starts.begin(), starts.end(), i) == starts.end())
      waits[i].push_back({.producer = i - 1, .is_local = true});
    schedule.actions[i].for_each_op([&](const Op& op) {
      const Stage from = is_backward(op) ? op.stage() + 1 : op.stage() - 1;
      const bool is_end =
          is_backward(op) ? from % placement.depth == 0 : op.stage() % placement.depth == 0;
      if (op.kind() == OpKind::BackwardWeight || is_end)
        return;
      const Maker& maker = makers.at({is_backward(op), from, op.microbatch()});
      waits[i].push_back({.producer = maker.action,
                          .output = maker.op,
                          .is_local = rank_of(from) == rank_of(op.stage())});
    });
  }
  return waits;
}

std::vector<bool> naive_run(const Schedule& schedule) {
  const auto waits = naive_waits(schedule);
  std::vector<bool> ran(waits.size());
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t i = 0; i < waits.size(); ++i) {
      const bool can_run =
          !ran[i] && std::all_of(waits[i].begin(), waits[i].end(),
                                 [&](const NaiveWait& wait) { return ran[wait.producer]; });
      ran[i] = ran[i] || can_run;
      moved = moved || can_run;
    }
  }
  return ran;
}

}  // namespace bubblescope

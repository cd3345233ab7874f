// What the tests of floor 0 share: random but valid schedules and costs, and a naive reading of a
// schedule, straight from the words of docs/manual.md, to hold the real code against. Numbers come
// from the raw engine: the distributions of two standard libraries differ.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/costs/cost_model.h"
#include "sim/engine/dependency_graph.h"
#include "sim/schedule/schedule.h"

namespace bubblescope {

struct Range {
  std::int64_t least;
  std::int64_t most;
};
/// A number of the range, ends included.
std::int64_t draw(std::mt19937_64& engine, Range range);
int draw_int(std::mt19937_64& engine, Range range);
/// A place in something of `size` > 0.
std::size_t draw_index(std::mt19937_64& engine, std::size_t size);
bool draw_chance(std::mt19937_64& engine, int percent);

/// One stage of the model a rank and chunk: loops, crossing pipes, and stages strewn over the
/// ranks, of which each gets one at least.
struct RandomLimits {
  int ranks = 4;
  int chunks = 3;
  int microbatches = 6;
  int pair_percent = 50;  ///< How often an F and a B that could run as a pair do.
};
Placement random_placement(std::mt19937_64& engine, RandomLimits limits = {});
/// Ready ops in random order: it can run, and makes no sense otherwise.
Schedule random_schedule(std::mt19937_64& engine, RandomLimits limits = {});
/// Some micro-batches, as many for each pipe of `placement`.
int random_microbatches(std::mt19937_64& engine, const Placement& placement, RandomLimits limits);
/// For all stages or stage by stage, many of them zero; messages take whole nanoseconds.
CostSource random_costs(std::mt19937_64& engine, const Placement& placement);

DependencyGraph graph_of(const Schedule& schedule, const CostSource& costs,
                         const CostOptions& options = {});

/// What the Error says that `call` throws; empty if it throws none.
template <typename Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// [rank] the actions in order.
using Orders = std::vector<std::vector<Action>>;
Orders orders_of(const Schedule& schedule);
void set_orders(Schedule& schedule, const Orders& orders);

/// A schedule called "mine" from one line of PyTorch's tokens a rank, blanks between them.
Schedule written(const Placement& placement, int microbatches,
                 const std::vector<std::string>& orders);

/// One reason why an action cannot start yet.
struct NaiveWait {
  std::size_t producer = 0;       ///< Index in `schedule.actions` of what must have ended.
  std::optional<Op> output = {};  ///< The op whose output is needed; none: the action before.
  bool is_local = false;          ///< Both are on one rank.
};
/// [action] first the action before it on its rank, then each op's input. Needs sound orders.
std::vector<std::vector<NaiveWait>> naive_waits(const Schedule& schedule);

/// [action] Whether it ever runs, if each rank in turn goes on as far as it can until none can.
std::vector<bool> naive_run(const Schedule& schedule);

}  // namespace bubblescope

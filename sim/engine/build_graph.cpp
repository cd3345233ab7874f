#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/graph_parts.h"
#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"

namespace bubblescope {
namespace {

void require_sums(const Schedule& schedule, const CostModel& costs) {
  if (!costs.can_add_up(schedule.actions.size()))
    throw Error(
        fmt::format("schedule {}: the costs are too large: the times and sizes of {} actions "
                    "cannot be added up",
                    schedule.name, schedule.actions.size()));
}

[[noreturn]] void refuse_circle(const Program& program) {
  throw Error(fmt::format("schedule {}: {}", program.schedule().name, describe_deadlock(program)));
}

}  // namespace

DependencyGraph build_graph(PostedProgram posted, CostModel costs) {
  require_sums(posted.schedule, costs);
  DependencyGraph::Parts parts{.posted = std::move(posted), .costs = std::move(costs)};
  if (!parts.posted.has_transfers()) {
    if (!number_ideal(parts))
      refuse_circle(lower(std::move(parts.posted)));
  } else {
    Program program = lower(std::move(parts.posted));
    if (!number_program(program, parts))
      refuse_circle(program);
    parts.posted = std::move(program.posted);
  }
  return DependencyGraph(std::move(parts));
}

DependencyGraph build_graph(const Program& program, CostModel costs) {
  require_sums(program.schedule(), costs);
  DependencyGraph::Parts parts{.posted = program.posted, .costs = std::move(costs)};
  if (!number_program(program, parts))
    refuse_circle(program);
  if (program.is_eager)
    parts.posted.transfers = {};
  return DependencyGraph(std::move(parts));
}

}  // namespace bubblescope

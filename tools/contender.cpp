#include "tools/contender.h"

#include <fmt/format.h>

#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"
#include "tools/program_input.h"

namespace bubblescope {

Scenario Contender::own(const Scenario& scenario) const {
  Scenario own = scenario;
  if (entry != nullptr && !entry->any_group_size)
    own.shape.group_size.reset();
  return own;
}

std::optional<std::string> find_obstacle(const Contender& contender, const Scenario& scenario) {
  if (contender.entry != nullptr)
    return find_obstacle(*contender.entry, contender.own(scenario));
  const PostedProgram& program = *contender.program;
  const Shape shape = shape_of(program);
  if (shape.ranks != scenario.shape.ranks || shape.microbatches != scenario.shape.microbatches)
    return fmt::format("it has p={}, m={}", shape.ranks, shape.microbatches);
  const PipeShape pipe = {shape.ranks, program.schedule.placement.depth};
  if (auto obstacle = find_obstacle(scenario, pipe))
    return obstacle;
  if (!can_run(lower(program)))
    return "it deadlocks ('bubblescope check' tells why)";
  return std::nullopt;
}

ScheduledProgram schedule_for(const Contender& contender, const Scenario& scenario,
                              Progress& progress) {
  if (contender.entry == nullptr)
    return {*contender.program};
  return schedule_for(*contender.entry, contender.own(scenario), progress);
}

}  // namespace bubblescope

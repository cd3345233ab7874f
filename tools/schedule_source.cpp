#include "tools/schedule_source.h"

#include <fmt/format.h>

#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"
#include "tools/program_input.h"

namespace bubblescope {

std::optional<std::string> find_obstacle(const ScheduleSource& source, const Scenario& scenario) {
  if (source.entry() != nullptr)
    return find_obstacle(*source.entry(), scenario);
  const PostedProgram& program = *source.program();
  const Shape shape = shape_of(program);
  if (shape.ranks != scenario.shape.ranks || shape.microbatches != scenario.shape.microbatches)
    return fmt::format("it has p={}, m={}", shape.ranks, shape.microbatches);
  const PipeShape pipe = {shape.ranks, program.schedule.placement.depth};
  if (auto obstacle = find_obstacle(scenario, pipe))
    return obstacle;
  if (!can_run(lower(program)))
    return "it deadlocks ('bubblescope check' says why)";
  return std::nullopt;
}

ScheduledProgram schedule_for(const ScheduleSource& source, const Scenario& scenario,
                              Progress& progress) {
  if (source.entry() == nullptr)
    return {*source.program()};
  return schedule_for(*source.entry(), scenario, progress);
}

}  // namespace bubblescope

#include "tools/subject.h"

#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"

namespace bubblescope {

void SubjectOptions::add_to(CLI::App& app) {
  program.add_to(app);
  shape.add_to(app);
  costs.add_to(app);
  limits.add_to(app);
}

Subject make_subject(const std::string& name, const SubjectOptions& options,
                     const GlobalOptions& global, const SubjectRules& rules) {
  require_one(name, options.program);
  Subject subject;
  if (options.program.is_given())
    subject.source.from =
        load_program(options.program, options.shape, options.costs.comm, global, rules.soundness);
  else
    subject.source.from = &require_schedule(name);
  const PostedProgram* program = subject.source.program();
  const Shape shape = program != nullptr
                          ? shape_of(options.shape, options.costs, shape_of(*program))
                          : shape_of(options.shape, options.costs);
  std::optional<CostSource> measured;
  if (rules.costs)
    measured = rules.costs(
        program != nullptr
            ? program->schedule.placement
            : loop_placement({.ranks = shape.ranks,
                              .chunks = shape.chunks.value_or(subject.source.entry()->chunks)}));
  CostCommandOptions costs = options.costs;
  costs.links_are_measured = rules.links.has_value();
  subject.scenario = make_scenario(shape, costs, options.limits, std::move(measured));
  if (program != nullptr)
    subject.scenario.comm.comm = program->comm;
  if (rules.links && rules.links->node_of_rank.size() != static_cast<std::size_t>(shape.ranks))
    throw Error(fmt::format("the profile was measured with {} ranks, and the schedule has {}",
                            rules.links->node_of_rank.size(), shape.ranks));
  subject.scenario.links = rules.links;
  return subject;
}

ScheduledProgram Subject::take_program(Progress& progress) {
  if (auto* program = std::get_if<PostedProgram>(&source.from))
    return {std::move(*program)};
  return schedule_for(*source.entry(), scenario, progress);
}

void Subject::note(const SubjectOptions& options, const GlobalOptions& global) const {
  note_costs(scenario, global);
  if (!source.is_searched() && options.limits.search.is_given())
    global.note("--objective and --effort are for automatic schedules");
}

}  // namespace bubblescope

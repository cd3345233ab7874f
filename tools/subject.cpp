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

void SubjectOptions::refuse_overwrite(const std::string& output) const {
  bubblescope::refuse_overwrite({"program", program.path}, output);
}

Subject make_subject(const std::string& name, const SubjectOptions& options,
                     const GlobalOptions& global, const SubjectRules& rules) {
  require_one(name, options.program);
  Subject subject;
  if (!options.program.is_given())
    subject.entry = &require_schedule(name);
  else
    subject.program = load_program(options.program, options.shape, options.costs.comm.choice(),
                                   global, rules.soundness);
  const Shape shape = subject.program ? shape_of(*subject.program) : options.shape.shape();
  std::optional<CostSource> measured;
  if (rules.costs)
    measured = rules.costs(
        subject.program ? subject.program->schedule.placement
                        : loop_placement({.ranks = shape.ranks,
                                          .chunks = shape.chunks.value_or(subject.entry->chunks)}));
  CostCommandOptions costs = options.costs;
  costs.links_are_measured = rules.links.has_value();
  subject.scenario = make_scenario(shape, costs, options.limits, std::move(measured));
  if (rules.links && rules.links->node_of_rank.size() != static_cast<std::size_t>(shape.ranks))
    throw Error(fmt::format("the profile was measured with {} ranks, and the schedule has {}",
                            rules.links->node_of_rank.size(), shape.ranks));
  subject.scenario.links = rules.links;
  return subject;
}

ScheduledProgram Subject::take_program(Progress& progress) {
  if (program)
    return {std::move(*program)};
  return schedule_for(*entry, scenario, progress);
}

void Subject::note(const SubjectOptions& options, const GlobalOptions& global) const {
  note_costs(scenario, global);
  if ((entry == nullptr || entry->automatic == nullptr) && options.limits.is_search_given())
    global.note("--objective and --effort are for automatic schedules");
}

}  // namespace bubblescope

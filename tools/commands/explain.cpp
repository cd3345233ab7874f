// bubblescope explain: where every idle interval comes from, and what the step time hangs on.
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "analysis/views/closed_form_view.h"
#include "analysis/views/explain_view.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/output.h"
#include "tools/subject.h"

namespace bubblescope {
namespace {

struct ExplainOptions {
  std::string name;
  SubjectOptions subject;
  OutputOptions output;
};

/// What stages cost where nothing is told: all alike, and a pair hides nothing.
constexpr Time kEach = std::chrono::microseconds(10);

/// Of a name alone: its formulas in p and m.
std::string run_formulas(const ExplainOptions& options, Format format, Color color) {
  const CatalogueEntry& entry = require_schedule(options.name);
  options.subject.program.dialect.require_program(false);
  const CostCommandOptions& costs = options.subject.costs;
  if (costs.job())
    throw UsageError("formulas in p and m need the costs of one stage: by hand, or a cost file");
  const ShapeOptions& shape = options.subject.shape;
  const LimitOptions& limits = options.subject.limits;
  for (const auto& [option, is_given] :
       {std::pair("--group-size", !shape.group_size.empty()),
        std::pair("--memory-limit", !limits.memory_limit.empty()),
        std::pair("--objective", !limits.objective.empty()),
        std::pair("--effort", !limits.effort.empty()),
        std::pair("--grad-reduce", !costs.grad_reduce.empty()),
        std::pair("--optimizer", !costs.optimizer.empty()),
        std::pair("--reduce", !costs.reduce_when.empty()),
        std::pair("--optimizer-sync", !costs.optimizer_sync.empty()),
        std::pair("--channels", !costs.comm.channels.empty())})
    if (is_given)
      throw UsageError(fmt::format("{} needs -p/--ranks and -m/--microbatches", option));
  CostSource source;
  if (costs.are_given())
    source = costs.source();
  else
    source = {.name = "by hand",
              .stages = {{.forward = kEach, .input_grad = kEach, .weight_grad = kEach}}};
  std::optional<int> chunks;
  if (!shape.chunks.empty())
    chunks = shape.shape({.ranks = 1, .microbatches = 1}).chunks;
  const Comm comm = costs.comm.choice().comm_or_ideal();
  const ClosedForm form =
      find_closed_form(entry, source, {.comm = comm, .overlap = costs.options().overlap}, chunks);
  return closed_form_view({std::string(entry.name), comm}, form, format, color);
}

std::string run(const ExplainOptions& options, const GlobalOptions& global) {
  const Format format = options.output.parsed_format();
  const Color color = options.output.color(global);
  const ShapeOptions& shape = options.subject.shape;
  if (!options.subject.program.is_given() && shape.ranks.empty() && shape.microbatches.empty() &&
      !options.name.empty())
    return run_formulas(options, format, color);
  options.subject.refuse_overwrite(options.output.path);
  Subject subject = make_subject(options.name, options.subject, global);
  std::string text;
  {
    Progress progress(global.quiet);
    const Prediction prediction =
        predict(subject.take_program(progress), subject.scenario, progress);
    progress.now("explaining");
    text = explain_view(prediction.analysis(), format, color);
  }
  subject.note(options.subject, global);
  return text;
}

}  // namespace

Command add_explain(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand(
      "explain", "why ranks idle: causes, critical path, the step time as a formula");
  auto options = std::make_shared<ExplainOptions>();
  app->add_option("NAME", options->name, "a schedule; 'bubblescope schedules' lists them")
      ->type_name("");
  options->subject.add_to(*app);
  options->output.add_to(*app);
  app->footer(
      "Without -p and -m it tells the schedule's formulas in p and m, found and checked on shapes\n"
      "it is simulated at.\n\n"
      "Examples:\n"
      "  bubblescope explain dualpipe\n"
      "  bubblescope explain 1f1b -p 8 -m 32 --forward 10us --input-grad 10us --weight-grad 10us\n"
      "  bubblescope explain dualpipe -p 16 -m 120 --costs deepseek-v3-h800 --format json");
  return {app, [options, &global] {
            write_output(options->output.path, run(*options, global));
            return kDone;
          }};
}

}  // namespace bubblescope

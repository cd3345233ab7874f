// bubblescope explain: where every idle interval comes from, and what the step time hangs on.
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "analysis/views/closed_form_view.h"
#include "analysis/views/explain_view.h"
#include "tools/anchor.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/output.h"
#include "tools/subject.h"

namespace bubblescope {
namespace {

struct ExplainOptions {
  std::string name;
  SubjectOptions subject;
  OutputOptions output;
  AnchorOption anchor;
};

/// What stages cost where nothing is told: all alike, and a pair hides nothing.
constexpr Time kEach = std::chrono::microseconds(10);

/// UsageError for what has no meaning without a shape.
void refuse_without_shape(const SubjectOptions& options) {
  OptionGroup meaningless = options.limits.search;
  meaningless.add(options.limits.memory_limit);
  meaningless.add(options.costs.iteration);
  std::string option = meaningless.first_given();
  if (options.shape.group_size)
    option = "--group-size";
  if (options.costs.comm.channels)
    option = "--channels";
  if (!options.costs.how.scales.empty())
    option = "--scale";
  if (!option.empty())
    throw UsageError(fmt::format("{} needs -p/--ranks and -m/--microbatches", option), {option});
}

/// A schedule's formulas in p and m.
std::string run_formulas(const ExplainOptions& options, Style style) {
  const CatalogueEntry& entry = require_schedule(options.name);
  const CostCommandOptions& costs = options.subject.costs;
  if (costs.model.are_given())
    throw UsageError("formulas in p and m need the costs of one stage: by hand, or a cost file",
                     {"--model"});
  refuse_without_shape(options.subject);
  CostSource source;
  if (costs.are_given())
    source = costs.source();
  else
    source = {.name = "by hand",
              .stages = {{.forward = kEach, .input_grad = kEach, .weight_grad = kEach}}};
  std::optional<int> chunks;
  if (!options.subject.shape.chunks.empty())
    chunks = options.subject.shape.chunks.front();
  const Comm comm = costs.comm.comm_or_ideal();
  const ClosedForm form =
      find_closed_form(entry, source, {.comm = comm, .overlap = costs.how.overlap}, chunks);
  style.provenance = provenance("explain");
  return closed_form_view({std::string(entry.name), comm}, form, style);
}

std::string run(const ExplainOptions& options, const GlobalOptions& global) {
  Style style = options.output.style(global);
  const ShapeOptions& shape = options.subject.shape;
  if (!options.subject.program.is_given() && !shape.ranks && !shape.microbatches &&
      !options.name.empty())
    return run_formulas(options, style);
  Subject subject = make_subject(options.name, options.subject, global);
  options.anchor.scale(subject.scenario, subject.source, global);
  style.provenance = provenance("explain", subject.scenario);
  std::string text;
  std::optional<BetterLayout> better;
  {
    Progress progress(global.quiet);
    const Prediction prediction =
        predict(subject.take_program(progress), subject.scenario, progress);
    progress.now("explaining");
    const Analysis analysis = prediction.analysis();
    text = explain_view(analysis, style);
    if (!global.quiet && !options.anchor.time && !subject.source.is_searched() &&
        can_be_laid_better(subject.scenario)) {
      progress.now("laying layers by their load");
      better =
          better_layout(prediction.graph.posted(), subject.scenario, analysis.report.whole_time());
    }
  }
  if (better)
    global.note(fmt::format("layers laid by their load take {} less time: --layout '{}'",
                            short_percent(better->saving), to_text(better->layout)));
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
  options->anchor.add_to(*app);
  options->output.add_to(*app);
  app->footer(
      "Without -p and -m it gives the schedule's formulas in p and m, found and checked on shapes\n"
      "that it is simulated at.\n\n"
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

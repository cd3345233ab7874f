// bubblescope validate: predicts schedules, replays them, and compares.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "analysis/views/validate_view.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/measure.h"
#include "tools/options/units.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

struct ValidateOptions {
  std::vector<std::string> names;
  SubjectOptions subject;
  MachineOptions machine;
  OutputOptions output;
  TraceOption trace;
  double tolerance = 0.02;
};

Validation validate(Subject subject, const MeasureOptions& options, double tolerance,
                    const GlobalOptions& global) {
  Progress progress(global.quiet);
  Measured measured = measure(std::move(subject), options, global, progress);
  const DependencyGraph& graph = measured.prediction.graph;
  const Analysis predicted(graph, measured.prediction.timeline);
  const Analysis run(graph, measured.timeline);
  if (options.trace.is_given() && options.tells())
    options.trace.write(run, &predicted.timeline);
  return {compare_timelines(predicted, run), std::move(measured.measurement), tolerance};
}

int run_subjects(const ValidateOptions& options, const MeasureOptions& measure_options,
                 const GlobalOptions& global) {
  const auto names = options.names.empty() ? std::vector<std::string>{""} : options.names;
  const SubjectRules rules = subject_rules(measure_options.machine, options.subject.costs);
  std::vector<Subject> subjects;  // all are read before the first runs
  subjects.reserve(names.size());
  for (const std::string& name : names)
    subjects.push_back(make_subject(name, options.subject, global, rules));
  subjects.front().note(options.subject, global);
  note_what_is_not_run(options.subject, subjects, global);
  if (measure_options.machine.has_tensors() && !measure_options.machine.has_virtual_clock() &&
      !measure_options.machine.profile)
    global.note(
        "tensors take as long as the machine takes, whatever the costs say: calibrate, and "
        "validate with --profile");
  if (measure_options.tells())
    require_writable(options.output.path);
  if (measure_options.tells() && options.trace.is_given())
    options.trace.require_writable();
  Style style = options.output.style(global);
  style.provenance = provenance("validate", subjects.front().scenario);
  std::vector<Validation> results;
  results.reserve(subjects.size());
  for (Subject& subject : subjects)
    results.push_back(validate(std::move(subject), measure_options, options.tolerance, global));
  if (!measure_options.tells())
    return kDone;
  write_output(options.output.path, validate_view(results, style));
  const bool all_hold =
      std::all_of(results.begin(), results.end(), [](const Validation& v) { return v.holds(); });
  return all_hold ? kDone : kCheckFailed;
}

int run(const ValidateOptions& options, const GlobalOptions& global) {
  options.output.style(global);  // --columns with JSON or CSV is refused before anything runs
  options.trace.check();
  if (options.trace.is_given() && options.names.size() > 1)
    throw UsageError("--trace is for one schedule", {"--trace"});
  MeasureOptions measure_options = {options.machine.choice(), options.trace};
  if (!measure_options.machine.is_checked)
    throw UsageError("--no-check is for replay: what cannot run cannot be predicted",
                     {"--no-check"});
  return in_job(measure_options.machine, global, [&](Job* job, const GlobalOptions& own) {
    measure_options.job = job;
    return run_subjects(options, measure_options, own);
  });
}

}  // namespace

Command add_validate(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("validate", "predicted beside measured: is the prediction true?");
  auto options = std::make_shared<ValidateOptions>();
  app->add_option("NAME", options->names, "schedules; of several, the order is compared too")
      ->type_name("...");
  options->subject.add_to(*app);
  options->machine.add_to(*app);
  options->machine.add_replay_options_to(*app);
  add_option(*app,
             {"--tolerance", "PERCENT", "for the error of the step time (default: 2)", "Output"},
             options->tolerance, read_percent);
  options->output.add_to(*app);
  options->trace.add_to(
      *app,
      "a Chrome trace with both, predicted above measured; as kineto, of what was measured alone");
  app->footer(
      "Exit code 1 where a step lies past the tolerance, or tensors differ from an unpipelined "
      "run's.\n"
      "Examples:\n"
      "  bubblescope validate 1f1b zb-h1 dualpipe -p 4 -m 8 --comm stream \\\n"
      "      --forward 1ms --input-grad 1ms --weight-grad 1ms\n"
      "  bubblescope validate dualpipe -p 4 -m 8 --costs costs.json --backend cuda --trace "
      "both.json.gz");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope

// bubblescope replay: runs a schedule on a machine, and tells when everything ran.
#include <memory>
#include <utility>

#include "analysis/views/replay_view.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/measure.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

struct ReplayCommandOptions {
  std::string name;
  SubjectOptions subject;
  MachineOptions machine;
  OutputOptions output;
  TraceOption trace;

  /// A file named .json is the run itself, unless a format is asked for.
  Style style(const GlobalOptions& global) const {
    OutputOptions chosen = output;
    const bool is_json = output.path.ends_with(".json") || output.path.ends_with(".json.gz");
    chosen.format = output.format.value_or(is_json ? Format::Json : Format::Table);
    return chosen.style(global);
  }
};

int run_subject(const ReplayCommandOptions& options, const MeasureOptions& measure_options,
                const GlobalOptions& global) {
  Subject subject = make_subject(options.name, options.subject, global,
                                 subject_rules(measure_options.machine, options.subject.costs));
  subject.note(options.subject, global);
  note_what_is_not_run(options.subject, {&subject, 1}, global);
  const OptionGroup& hand = options.subject.costs.hand;
  if (measure_options.job != nullptr && (hand.is_given("--p2p") || hand.is_given("--bandwidth")))
    global.note("--p2p and --bandwidth: messages of NCCL take as long as they take");
  if (measure_options.tells())
    require_writable(options.output.path);
  if (measure_options.tells() && options.trace.is_given())
    options.trace.require_writable();
  Style style = options.style(global);
  style.provenance = provenance("replay", subject.scenario);
  ReplayResult result;
  {
    Progress progress(global.quiet);
    Measured measured = measure(std::move(subject), measure_options, global, progress);
    if (!measure_options.tells())
      return kDone;
    const DependencyGraph& graph = measured.prediction.graph;
    Analysis run(graph, measured.timeline,
                 measure_options.machine.has_tensors() ? Inside::Unknown : Inside::AsCostsTell);
    if (options.trace.is_given())
      options.trace.write(run);
    result = {std::move(run.report), std::move(measured.record), std::move(measured.measurement)};
  }
  write_output(options.output.path, replay_view(result, style));
  const auto& parity = result.measurement.parity;
  return parity && !parity->holds() ? kCheckFailed : kDone;
}

int run(const ReplayCommandOptions& options, const GlobalOptions& global) {
  options.style(global);  // --columns with JSON or CSV is refused before anything runs
  options.trace.check();
  if (options.machine.no_check && !options.subject.program.is_given())
    throw UsageError("--no-check is for --program: schedules of the catalogue are sound",
                     {"--no-check"});
  MeasureOptions measure_options = {options.machine.choice(), options.trace};
  return in_job(measure_options.machine, global, [&](Job* job, const GlobalOptions& own) {
    measure_options.job = job;
    return run_subject(options, measure_options, own);
  });
}

}  // namespace

Command add_replay(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("replay", "run a schedule on a machine: when everything ran");
  auto options = std::make_shared<ReplayCommandOptions>();
  app->add_option("NAME", options->name, "a schedule; 'bubblescope schedules' lists them")
      ->type_name("");
  options->subject.add_to(*app);
  options->machine.add_to(*app);
  options->machine.add_replay_options_to(*app);
  options->output.add_to(*app);
  options->trace.add_to(*app, "a Chrome trace of what was measured, also of a run cut short");
  app->footer(
      "With -o FILE.json the run itself is written, action by action.\n"
      "Exit code 1 where gradients are not those of an unpipelined run, 4 where a device is "
      "missing or fails, or the run hangs.\n"
      "Examples:\n"
      "  bubblescope replay 1f1b -p 4 -m 8 --forward 1ms --input-grad 1ms --weight-grad 1ms \\\n"
      "      --comm stream --real-time -o measured.json\n"
      "  bubblescope replay --program mine.csv --costs deepseek-v3-h800 --trace out.json.gz");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope

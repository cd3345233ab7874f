// bubblescope simulate: one schedule, in figures rank by rank and as a trace.
#include <memory>
#include <utility>

#include "analysis/simulate_view.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/noise_options.h"
#include "tools/output.h"
#include "tools/subject.h"
#include "tools/trace_option.h"

namespace bubblescope {
namespace {

struct SimulateOptions {
  std::string name;
  SubjectOptions subject;
  OutputOptions output;
  TraceOption trace;
  NoiseCommandOptions noise;
};

std::string run(const SimulateOptions& options, const GlobalOptions& global) {
  const Format format = options.output.parsed_format();
  const Color color = options.output.color(global);
  options.trace.check(options.output);
  options.subject.refuse_overwrite(options.output.path);
  options.subject.refuse_overwrite(options.trace.path);
  Subject subject = make_subject(options.name, options.subject, global);
  subject.scenario.noise = options.noise.parsed(subject.scenario.shape.ranks);
  Report figures;
  {
    Progress progress(global.quiet);
    const Prediction prediction =
        predict(subject.take_program(progress), subject.scenario, progress);
    if (options.trace.is_given()) {
      progress.now("writing the trace");
      options.trace.write(prediction.graph, prediction.timeline);
    }
    figures = prediction.report();
  }
  subject.note(options.subject, global);
  return simulate_view(figures, subject.scenario.automatic.memory, format, color);
}

}  // namespace

Command add_simulate(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("simulate", "simulate one schedule: figures per rank, a trace");
  auto options = std::make_shared<SimulateOptions>();
  app->add_option("NAME", options->name, "a schedule; 'bubblescope schedules' lists them")
      ->type_name("");
  options->subject.add_to(*app);
  options->output.add_to(*app);
  options->trace.add_to(*app);
  options->noise.add_to(*app);
  app->footer(
      "Examples:\n"
      "  bubblescope simulate 1f1b -p 4 -m 8 --forward 10us --input-grad 10us --weight-grad 10us\n"
      "  bubblescope simulate dualpipe -p 16 -m 120 --costs deepseek-v3-h800 --trace out.json.gz\n"
      "  bubblescope simulate 1f1b -p 4 -m 8 --costs deepseek-v3-h800 --trace out \\\n"
      "      --trace-flavour kineto\n"
      "  bubblescope simulate --program mine.csv --costs deepseek-v3-h800 --comm torch");
  return {app, [options, &global] {
            write_output(options->output.path, run(*options, global));
            return kDone;
          }};
}

}  // namespace bubblescope

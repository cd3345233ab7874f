// bubblescope simulate: one schedule, in figures rank by rank and as a trace.
#include <memory>
#include <utility>

#include "analysis/pictures/html_view.h"
#include "analysis/pictures/svg_view.h"
#include "analysis/views/simulate_view.h"
#include "tools/anchor.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/options/noise_options.h"
#include "tools/options/picture_options.h"
#include "tools/options/trace_option.h"
#include "tools/output.h"
#include "tools/subject.h"

namespace bubblescope {
namespace {

struct SimulateOptions {
  std::string name;
  SubjectOptions subject;
  OutputOptions output;
  TraceOption trace;
  PictureOption svg = {"--svg", kMostSvgActions};
  PictureOption html = {"--html", kMostHtmlActions};
  NoiseCommandOptions noise;
  AnchorOption anchor;
};

void write_files(const SimulateOptions& options, const Analysis& run, Progress& progress) {
  if (options.trace.is_given()) {
    progress.now("writing the trace");
    options.trace.write(run);
  }
  if (!options.svg.is_given() && !options.html.is_given())
    return;
  progress.now("drawing");
  if (options.svg.is_given())
    options.svg.write(svg_view(run));
  if (options.html.is_given())
    options.html.write(html_view({html_data(run)}));
}

std::string run(const SimulateOptions& options, const GlobalOptions& global) {
  Style style = options.output.style(global);
  options.trace.check();
  Subject subject = make_subject(options.name, options.subject, global);
  options.anchor.scale(subject.scenario, subject.source, global);
  subject.scenario.noise = options.noise.noise(subject.scenario.shape.ranks);
  style.provenance = provenance("simulate", subject.scenario);
  Report figures;
  {
    Progress progress(global.quiet);
    ScheduledProgram scheduled = subject.take_program(progress);
    for (const PictureOption& picture : {options.svg, options.html})
      picture.check_size(scheduled.program.schedule.actions.size());
    const Prediction prediction = predict(std::move(scheduled), subject.scenario, progress);
    Analysis run = prediction.analysis();
    write_files(options, run, progress);
    figures = std::move(run.report);
  }
  subject.note(options.subject, global);
  return simulate_view(figures, subject.scenario.limit(), style);
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
  options->svg.add_to(*app, "a picture of the schedule, as papers draw it");
  options->html.add_to(*app, "a page to zoom and to ask, which opens offline in any browser");
  options->noise.add_to(*app);
  options->anchor.add_to(*app);
  app->footer(
      "Examples:\n"
      "  bubblescope simulate 1f1b -p 4 -m 8 --forward 10us --input-grad 10us --weight-grad 10us\n"
      "  bubblescope simulate dualpipe -p 16 -m 120 --costs deepseek-v3-h800 --trace out.json.gz\n"
      "  bubblescope simulate 1f1b -p 4 -m 8 --costs deepseek-v3-h800 --trace out \\\n"
      "      --trace-flavour kineto\n"
      "  bubblescope simulate dualpipe -p 8 -m 20 --forward 1ms --input-grad 1ms \\\n"
      "      --weight-grad 1ms --svg dualpipe.svg --html dualpipe.html\n"
      "  bubblescope simulate --program mine.csv --costs deepseek-v3-h800 --comm torch");
  return {app, [options, &global] {
            write_output(options->output.path, run(*options, global));
            return kDone;
          }};
}

}  // namespace bubblescope

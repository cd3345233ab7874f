// bubblescope simulate: one schedule, in figures rank by rank and as a trace.
#include <memory>
#include <optional>
#include <utility>

#include "analysis/chrome_trace.h"
#include "analysis/simulate_view.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/output.h"
#include "tools/predict.h"
#include "tools/program_input.h"

namespace bubblescope {
namespace {

struct SimulateOptions {
  std::string name;
  ProgramOption program;
  ShapeOptions shape;
  CostCommandOptions costs;
  LimitOptions limits;
  OutputOptions output;
  std::string trace;
};

std::string run(const SimulateOptions& options, const GlobalOptions& global) {
  const Format format = options.output.parsed_format();
  const Color color = options.output.color(global);
  require_one(options.name, options.program);
  const CatalogueEntry* entry =
      options.program.is_given() ? nullptr : &require_schedule(options.name);
  if (options.trace == "-" || (!options.trace.empty() && options.trace == options.output.path))
    throw UsageError("--trace needs a file of its own");
  refuse_overwrite(options.program.path, options.output.path);
  refuse_overwrite(options.program.path, options.trace);
  std::optional<Program> program;
  if (entry == nullptr)
    program = load_program(options.program, options.shape, options.costs.comm.choice(), global);
  const Shape shape = program ? shape_of(*program) : options.shape.shape();
  const Scenario scenario = make_scenario(shape, options.costs, options.limits);
  Report figures;
  {
    Progress progress(global.quiet);
    const Prediction prediction = program ? predict({std::move(*program)}, scenario, progress)
                                          : predict(*entry, scenario, progress);
    if (!options.trace.empty()) {
      progress.now("writing the trace");
      OutputFile file(options.trace);
      write_chrome_trace(prediction.graph, prediction.timeline,
                         [&](std::string_view piece) { file.write(piece); });
      file.commit();
    }
    figures = prediction.report();
  }
  note_costs(scenario, global);
  if ((entry == nullptr || entry->automatic == nullptr) && options.limits.is_search_given())
    global.note("--objective and --effort are for automatic schedules");
  return simulate_view(figures, scenario.automatic.memory, format, color);
}

}  // namespace

Command add_simulate(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("simulate", "simulate one schedule: figures per rank, a trace");
  auto options = std::make_shared<SimulateOptions>();
  app->add_option("NAME", options->name, "a schedule; 'bubblescope schedules' lists them")
      ->type_name("");
  options->program.add_to(*app);
  options->shape.add_to(*app);
  options->costs.add_to(*app);
  options->limits.add_to(*app);
  options->output.add_to(*app);
  add_option(*app,
             {"--trace", "FILE[.gz]", "a Chrome trace, which ui.perfetto.dev opens", "Output"},
             options->trace);
  app->footer(
      "Examples:\n"
      "  bubblescope simulate 1f1b -p 4 -m 8 --forward 10us --input-grad 10us --weight-grad 10us\n"
      "  bubblescope simulate dualpipe -p 16 -m 120 --costs deepseek-v3-h800 --trace out.json.gz\n"
      "  bubblescope simulate --program mine.csv --costs deepseek-v3-h800 --comm torch");
  return {app, [options, &global] {
            write_output(options->output.path, run(*options, global));
            return kDone;
          }};
}

}  // namespace bubblescope

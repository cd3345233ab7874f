// bubblescope costs: what the cost options come to, per stage and phase.
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/costs_view.h"
#include "sim/base/error.h"
#include "sim/costs/cost_file.h"
#include "sim/transformer/balanced_layout.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/options/cost_options.h"
#include "tools/options/output_options.h"
#include "tools/options/units.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

constexpr int kMostStages = 1'000'000;

struct CostsCommandOptions {
  std::optional<int> ranks;
  int chunks = 1;
  std::string save;
  CostCommandOptions costs;
  OutputOptions output;
};

/// The stages that the costs are laid over: as asked for, else as a layout or a cost file says.
LoopShape shape_of(const CostsCommandOptions& options, const std::optional<ModelJob>& job,
                   const CostSource& source) {
  const int v = options.chunks;
  if (options.ranks) {
    if (std::int64_t{*options.ranks} * v > kMostStages)
      throw UsageError(fmt::format("p × v = {} stages are more than {}",
                                   std::int64_t{*options.ranks} * v, kMostStages),
                       {"--ranks", "--chunks"});
    return {*options.ranks, v};
  }
  std::optional<std::size_t> stages;
  if (job && job->layout)
    stages = job->layout->size();
  else if (source.stage_by_stage)
    stages = source.stages.size();
  if (job && !stages)
    throw UsageError("-p/--ranks is required: layers are divided over so many stages");
  if (!stages)
    return {source.ranks.value_or(1), v};
  if (*stages % static_cast<std::size_t>(v) != 0)
    throw wrong_option("-v/--chunks", fmt::format("{} does not divide the {} stages", v, *stages));
  return {static_cast<int>(*stages) / v, v};
}

std::string run(const CostsCommandOptions& options, const GlobalOptions& global) {
  Style style = options.output.style(global);
  const std::optional<ModelJob> job = options.costs.job(options.ranks);
  CostSource source = job ? CostSource{} : options.costs.source();
  const LoopShape shape = shape_of(options, job, source);
  std::optional<AnalyticCosts> analytic;
  if (job) {
    if (!job->model.note.empty())
      global.note(job->model.note);
    ModelJob laid = *job;
    laid.layout = layout_over(laid, loop_placement(shape));
    analytic = analytic_costs(laid, shape.ranks * shape.chunks);
    source = analytic->source;
    source.ranks = shape.ranks;
  }
  if (source.ranks && *source.ranks != shape.ranks)
    global.note(fmt::format("costs '{}' were made for {} ranks and are used as they are for {}",
                            source.name, *source.ranks, shape.ranks));
  style.provenance =
      provenance("costs-report", {.shape = {.ranks = shape.ranks, .chunks = shape.chunks},
                                  .costs = source,
                                  .job = job,
                                  .links = {},
                                  .costs_by_hand = options.costs.are_by_hand(),
                                  .cost_options = options.costs.how,
                                  .comm = {},
                                  .automatic = {},
                                  .noise = {},
                                  .iteration = {}});
  std::string text = costs_view(source, loop_placement(shape), options.costs.how, analytic, style);
  if (!options.save.empty())
    write_output(options.save, costs_text(source, nlohmann::ordered_json::object()));
  return text;
}

}  // namespace

Command add_costs(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("costs", "the costs that options give, per stage and phase");
  auto options = std::make_shared<CostsCommandOptions>();
  add_option(*app, {"-p,--ranks,--pp", "N", "pipeline ranks", "Shape"}, options->ranks,
             count_from(1, kMostStages));
  add_option(*app, {"-v,--chunks", "N", "stages that a rank holds (default: 1)", "Shape"},
             options->chunks, count_from(1, kMostStages));
  options->costs.add_source_to(*app);
  options->output.add_to(*app);
  add_option(*app, {"--save", "FILE", "a cost file of them, which --costs reads", "Output"},
             options->save)
      ->excludes(app->get_option("--scale"));
  app->footer(
      "Examples:\n"
      "  bubblescope costs -p 16 --model deepseek-v3 --hardware h800 --parallel ep=64,dp=128 \\\n"
      "      --precision fp8 --recompute selective --save mine.json\n"
      "  bubblescope costs --costs deepseek-v3-h800 --format json");
  return {app, [options, &global] {
            write_output(options->output.path, run(*options, global));
            return kDone;
          }};
}

}  // namespace bubblescope

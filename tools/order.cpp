// bubblescope order: a schedule's order, for other programs.
#include <memory>

#include <fmt/format.h>

#include "sim/dependency_graph.h"
#include "sim/graphviz.h"
#include "sim/order_export.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/output.h"
#include "tools/predict.h"

namespace bubblescope {
namespace {

struct OrderOptions {
  std::string name;
  ShapeOptions shape;
  CostCommandOptions costs;
  LimitOptions limits;
  std::string to = "torch";
  std::string path;
};

/// Only an automatic schedule needs costs.
Program program_of(const CatalogueEntry& entry, const OrderOptions& options,
                   const GlobalOptions& global) {
  if (entry.automatic != nullptr) {
    const Scenario scenario = make_scenario(options.shape, options.costs, options.limits);
    check_size(entry, scenario.shape, scenario.comm);
    return schedule_for(entry, scenario).program;
  }
  const Shape shape = options.shape.shape();
  const Comm comm = parse_comm(options.costs.comm);
  check_size(entry, shape, comm);
  if (options.costs.are_given() || options.limits.are_given())
    global.note(fmt::format("{} has an order of its own: costs and limits are for automatic ones",
                            entry.name));
  return make_program(entry, shape, comm);
}

int run(const OrderOptions& options, const GlobalOptions& global) {
  const std::size_t to = choose("--to", options.to, {"torch", "json", "dot"});
  const CatalogueEntry& entry = require_schedule(options.name);
  if (to == 0 && parse_comm(options.costs.comm) != Comm::Ideal)
    throw UsageError("--comm has no place in PyTorch's compute-only CSV: take --to json or dot");
  Program program = program_of(entry, options, global);
  const CostModel costs = free_costs(program.schedule.placement);
  const DependencyGraph graph = build_graph(std::move(program), costs);
  write_output(options.path, to == 0   ? to_torch_csv(graph.schedule())
                             : to == 1 ? to_program_json(graph.program())
                                       : to_dot(graph));
  return kDone;
}

}  // namespace

Command add_order(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("order", "write a schedule's order, one line a rank");
  auto options = std::make_shared<OrderOptions>();
  app->add_option("NAME", options->name, "a schedule; 'bubblescope schedules' lists them")
      ->required()
      ->type_name("");
  options->shape.add_to(*app);
  options->costs.add_to(*app);
  options->limits.add_to(*app);
  add_option(
      *app,
      {"--to", "WHAT",
       "torch: PyTorch's compute-only CSV (default); json: a bubblescope program; dot: Graphviz",
       "Output"},
      options->to);
  add_option(*app, {"-o,--output", "FILE", "instead of stdout; .gz compresses", "Output"},
             options->path);
  app->footer(
      "Examples:\n"
      "  bubblescope order dualpipe -p 8 -m 20\n"
      "  bubblescope order dualpipe -p 8 -m 20 --to json --comm batched\n"
      "  bubblescope order v-auto -p 4 -m 8 --forward 10us --input-grad 11us --weight-grad 8us\n"
      "  bubblescope order 1f1b -p 4 -m 8 --to dot | dot -Tsvg > 1f1b.svg");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope

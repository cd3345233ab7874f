// bubblescope order: a schedule's order, for other programs.
#include <memory>

#include <fmt/format.h>

#include "sim/engine/dependency_graph.h"
#include "sim/engine/graphviz.h"
#include "sim/formats/program_json.h"
#include "sim/formats/torch_csv.h"
#include "sim/program/posting.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/output.h"
#include "tools/predict.h"
#include "tools/program_input.h"

namespace bubblescope {
namespace {

enum class To { Torch, TorchComms, Json, Dot };

struct OrderOptions {
  std::string name;
  ProgramOption program;
  ShapeOptions shape;
  CostCommandOptions costs;
  LimitOptions limits;
  To to = To::Torch;
  std::string path;
};

/// The way to talk that the output has.
CommOptions comm_of(const OrderOptions& options) {
  const To to = options.to;
  CommOptions comm = options.costs.comm;
  if (to == To::Torch && comm.comm_or_ideal() != Comm::Ideal)
    throw UsageError(
        "--comm has no place in PyTorch's compute-only CSV: take --to torch-comms, json or dot",
        {"--comm"});
  if (to == To::TorchComms && comm.comm.value_or(Comm::Torch) != Comm::Torch)
    throw UsageError(
        "--to torch-comms has the messages of PyTorch's runtime (--comm torch): for others take "
        "--to json or dot",
        {"--to", "--comm"});
  if (to == To::TorchComms)
    comm.comm = Comm::Torch;
  return comm;
}

void note_unused(std::string_view name, const OrderOptions& options, const GlobalOptions& global) {
  const CostCommandOptions& costs = options.costs;
  const bool are_set = costs.options.is_given() || costs.iteration.is_given();
  const bool are_limited =
      options.limits.search.is_given() || options.limits.memory_limit.is_given();
  if (costs.are_given() || are_set || are_limited)
    global.note(
        fmt::format("{} has an order of its own: costs and limits are for automatic ones", name));
}

/// Only an automatic schedule needs costs.
PostedProgram program_of(const OrderOptions& options, const CommOptions& comm,
                         const GlobalOptions& global) {
  if (options.program.is_given()) {
    note_unused(options.program.path, options, global);
    return load_program(options.program, options.shape, comm, global);
  }
  const CatalogueEntry& entry = require_schedule(options.name);
  const Shape shape = shape_of(options.shape, options.costs);
  check_size(entry, shape, comm.comm_or_ideal());
  if (entry.automatic != nullptr) {
    Scenario scenario = make_scenario(shape, options.costs, options.limits);
    scenario.comm = comm;
    return schedule_for(entry, scenario).program;
  }
  note_unused(entry.name, options, global);
  PostedProgram program = post_messages(entry, shape, comm.comm_or_ideal());
  comm.set_channels(program);
  return program;
}

std::string text_of(const DependencyGraph& graph, To to) {
  switch (to) {
    case To::Torch:
      return to_torch_csv(graph.schedule());
    case To::TorchComms:
      return to_torch_comms_csv(graph.posted());
    case To::Json:
      return to_program_json(graph.posted());
    case To::Dot:
      break;
  }
  return to_dot(graph);
}

int run(const OrderOptions& options, const GlobalOptions& global) {
  const To to = options.to;
  require_one(options.name, options.program);
  PostedProgram program = program_of(options, comm_of(options), global);
  const bool is_torch = to == To::Torch || to == To::TorchComms;
  if (is_torch && program.schedule.placement.pipes > 1)
    global.note("PyTorch's runtime knows one pipe, and this schedule has two");
  const CostModel costs = free_costs(program.schedule.placement);
  const DependencyGraph graph = build_graph(std::move(program), costs);
  write_output(options.path, text_of(graph, to));
  return kDone;
}

}  // namespace

Command add_order(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("order", "write a schedule's order, one line a rank");
  auto options = std::make_shared<OrderOptions>();
  app->add_option("NAME", options->name, "a schedule; 'bubblescope schedules' lists them")
      ->type_name("");
  options->program.add_to(*app);
  options->shape.add_to(*app);
  options->costs.add_to(*app);
  options->limits.add_to(*app);
  add_option(*app,
             {"--to", "WHAT",
              "torch: PyTorch's compute-only CSV (default); torch-comms: its compute_comms CSV, as "
              "of 2.14; json: a "
              "bubblescope program; dot: Graphviz",
              "Output"},
             options->to,
             one_of<To>({{"torch", To::Torch},
                         {"torch-comms", To::TorchComms},
                         {"json", To::Json},
                         {"dot", To::Dot}}));
  add_output(*app, options->path);
  app->footer(
      "Examples:\n"
      "  bubblescope order dualpipe -p 8 -m 20\n"
      "  bubblescope order dualpipe -p 8 -m 20 --to json --comm batched\n"
      "  bubblescope order --program mine.csv --to torch-comms\n"
      "  bubblescope order v-auto -p 4 -m 8 --forward 10us --input-grad 11us --weight-grad 8us\n"
      "  bubblescope order 1f1b -p 4 -m 8 --to dot | dot -Tsvg > 1f1b.svg");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope

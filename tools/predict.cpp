#include "tools/predict.h"

#include <algorithm>
#include <limits>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/search/automatic.h"
#include "sim/transformer/balanced_layout.h"
#include "sim/transformer/mixer_costs.h"
#include "sim/transformer/stage_memory.h"
#include "tools/errors.h"

namespace bubblescope {
namespace {

/// Of an automatic schedule.
CostModel costs_of(const CatalogueEntry& entry, const Scenario& scenario) {
  const Placement placement = entry.automatic->placement(scenario.shape.ranks);
  return {scenario.costs_over(placement), placement, scenario.cost_options};
}

Comm comm_for(const CatalogueEntry& entry, const Scenario& scenario) {
  return scenario.comm.ways().of(entry, scenario.shape.chunks.value_or(entry.chunks));
}

/// Why layers cannot be balanced over such a pipe; none where they can.
std::optional<std::string> find_obstacle_to_balance(const ModelJob& job, PipeShape pipe) {
  ModelJob laid = job;
  try {
    laid.layout = layout_over(job, loop_placement({pipe.ranks, pipe.depth / pipe.ranks}));
  } catch (const Error& error) {
    return error.what();
  }
  return find_obstacle(laid, pipe.depth);
}

/// Whether a message takes the same time within a node as between two.
bool are_messages_alike(const Network& network) {
  const Link& within = network.intra_node.message;
  const Link& between = network.inter_node.message;
  return within.latency == between.latency && within.bytes_per_second == between.bytes_per_second;
}

/// Ranks of a node where the command line asks for something between nodes, else none.
std::optional<int> ranks_of_linked_node(const Scenario& scenario) {
  if (scenario.job && scenario.job->nodes.nic > 0)
    return ranks_per_node(*scenario.job);
  const auto& network = scenario.costs.network;
  if (scenario.costs_by_hand && network &&
      (!are_messages_alike(*network) || network->inter_node.shared_bytes_per_second > 0))
    return network->ranks_per_node;
  return std::nullopt;
}

/// Options of nodes that change nothing.
void note_nodes(const Scenario& scenario, const GlobalOptions& global) {
  const auto& network = scenario.costs.network;
  if (scenario.costs_by_hand && network && !network->is_shared() && are_messages_alike(*network))
    global.note(
        "--ranks-per-node changes nothing by itself: it is for --inter-p2p, --inter-bandwidth, "
        "--nic and --nvlink");
  const auto ranks = ranks_of_linked_node(scenario);
  if (ranks && scenario.shape.ranks <= *ranks)
    global.note(fmt::format(
        "the {} ranks fit on one node of {}: options for messages between nodes change nothing",
        scenario.shape.ranks, *ranks));
}

}  // namespace

void check_size(const CatalogueEntry& entry, const Shape& shape, Comm comm, bool shares_links) {
  const double ops = 3.0 * shape.ranks * static_cast<double>(shape.microbatches) *
                     shape.chunks.value_or(entry.chunks);
  if (ops > kMostOps)
    throw UsageError(fmt::format(
        "schedule {} at p={}, m={} is too large: {:.3g} ops, and {} are the most that can be "
        "numbered",
        entry.name, shape.ranks, shape.microbatches, ops, kMostOps));
  // Measured: tests/bench prints bytes a node; messages that are nodes more than double them, and
  // those that contend are followed one by one.
  const double each = (comm == Comm::Ideal ? 100 : 250) + (shares_links ? 50 : 0);
  const double needed = each * ops;
  const double present =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  if (needed > present)
    throw Error(fmt::format(
        "schedule {} at p={}, m={} would need up to {:.0f} GiB of memory; this "
        "machine has {:.0f} GiB",
        entry.name, shape.ranks, shape.microbatches, needed / (1U << 30U), present / (1U << 30U)));
}

Shape shape_of(const ShapeOptions& shape, const CostCommandOptions& costs, const Shape& present) {
  ShapeOptions asked = shape;
  const std::optional<int> present_ranks =
      present.ranks > 0 ? std::optional(present.ranks) : std::nullopt;
  if (const auto microbatches =
          costs.model.microbatches(shape.ranks ? shape.ranks : present_ranks)) {
    if (shape.microbatches && *shape.microbatches != *microbatches)
      throw wrong_option(
          "--global-batch",
          fmt::format("it comes to m={}, and -m says {}", *microbatches, *shape.microbatches),
          {"--microbatches"});
    if (present.microbatches > 0 && present.microbatches != *microbatches)
      throw wrong_option("--global-batch", fmt::format("it comes to m={}, and the program has {}",
                                                       *microbatches, present.microbatches));
    asked.microbatches = *microbatches;
  }
  return asked.shape(present);
}

Scenario make_scenario(const Shape& shape, const CostCommandOptions& costs,
                       const LimitOptions& limits, std::optional<CostSource> measured) {
  const bool by_hand = !measured && costs.are_by_hand();
  std::optional<ModelJob> job = measured ? std::nullopt : costs.job(shape.ranks);
  CostSource source = measured ? std::move(*measured)
                      : job    ? CostSource{.name = job->model.name}
                               : costs.source();
  Scenario scenario = {.shape = shape,
                       .costs = std::move(source),
                       .job = std::move(job),
                       .costs_by_hand = by_hand,
                       .cost_options = costs.how,
                       .comm = costs.comm,
                       .automatic = limits.automatic,
                       .iteration = costs.iteration_options};
  if (scenario.job && scenario.automatic.memory.live_activations)
    throw wrong_option(
        "--memory-limit",
        fmt::format("with --model it is the memory of a GPU and needs a unit, {0}GB (10⁹ bytes) or "
                    "{0}GiB (2³⁰), got '{0}'",
                    *scenario.automatic.memory.live_activations));
  const auto& stages = scenario.costs.stages;
  const bool sized = std::all_of(stages.begin(), stages.end(), [](const StageCost& stage) {
    return stage.activation && stage.weights;
  });
  if (scenario.automatic.memory.bytes && !sized)
    throw UsageError(
        "--memory-limit in bytes needs the sizes of every stage: --activation and --weights, or "
        "activation_bytes and weight_bytes in a cost file (a copy of a table can have them added)",
        {"--memory-limit"});
  return scenario;
}

MemoryLimit Scenario::limit() const {
  if (automatic.memory.is_given() || !job)
    return automatic.memory;
  return {.bytes = job->hardware.memory, .owner = job->hardware.name};
}

AutomaticOptions Scenario::search() const {
  AutomaticOptions options = automatic;
  if (job && options.memory.bytes)
    options.memory.bytes = std::max<Bytes>(tensor_memory(*options.memory.bytes), 0);
  return options;
}

bool Scenario::shares_links() const {
  if (links)
    return false;
  if (job)
    return job->nodes.nvlink > 0 || job->nodes.nic > 0;
  return costs.network && costs.network->is_shared();
}

CostSource Scenario::costs_over(const Placement& placement) const {
  CostSource source = costs;
  if (job) {
    ModelJob laid = *job;
    laid.layout = layout_over(laid, placement);
    source = analytic_costs(laid, placement.depth).source;
  }
  if (links)
    lay_links(*links, source);
  return source;
}

std::optional<std::string> find_obstacle(const Scenario& scenario, PipeShape pipe) {
  if (scenario.job && scenario.job->is_balanced)
    return find_obstacle_to_balance(*scenario.job, pipe);
  if (scenario.job)
    return find_obstacle(*scenario.job, pipe.depth);
  return find_obstacle(scenario.costs, pipe, scenario.cost_options);
}

std::optional<std::string> find_obstacle(const CatalogueEntry& entry, const Scenario& scenario) {
  if (const auto misfit = find_misfit(entry, scenario.shape))
    return misfit->reason;
  const int ranks = scenario.shape.ranks;
  const PipeShape pipe = {ranks, ranks * scenario.shape.chunks.value_or(entry.chunks)};
  if (auto obstacle = find_obstacle(scenario, pipe))
    return obstacle;
  if (entry.automatic == nullptr)
    return std::nullopt;
  return memory_obstacle(entry, scenario.shape.ranks, costs_of(entry, scenario),
                         scenario.search().memory);
}

ScheduledProgram schedule_for(const CatalogueEntry& entry, const Scenario& scenario) {
  const Comm comm = comm_for(entry, scenario);
  if (entry.automatic == nullptr) {
    ScheduledProgram scheduled{post_messages(entry, scenario.shape, comm)};
    scenario.comm.set_channels(scheduled.program);
    return scheduled;
  }
  SearchResult result =
      make_automatic(entry, scenario.shape, costs_of(entry, scenario), scenario.search());
  const SearchFigures figures = {
      .objective = scenario.automatic.objective,
      .reached = Time(scenario.automatic.objective == Objective::Step ? result.score.step
                                                                      : result.score.span),
      .work_bound = Time(result.bound.work),
      .drain_bound = Time(result.bound.drain),
      .critical_path_bound = Time(result.bound.critical_path),
      .memory_bound = Time(result.bound.memory)};
  ScheduledProgram scheduled{post_messages(std::move(result.schedule), comm), figures};
  scenario.comm.set_channels(scheduled.program);
  return scheduled;
}

Analysis Prediction::analysis() const& {
  Analysis run(graph, timeline);
  run.report.search = search;
  run.report.noise = noise;
  if (work && run.report.peak_memory)
    run.report.device_memory = device_memory(*run.report.peak_memory);
  run.report.iteration = end_iteration(graph, timeline, iteration);
  if (work)
    run.report.throughput = throughput(*work, run.report.whole_time());
  return run;
}

ScheduledProgram schedule_for(const CatalogueEntry& entry, const Scenario& scenario,
                              Progress& progress) {
  check_size(entry, scenario.shape, comm_for(entry, scenario), scenario.shares_links());
  progress.now(fmt::format("{}: {} an order", entry.name,
                           entry.automatic == nullptr ? "writing" : "searching"));
  return schedule_for(entry, scenario);
}

CostModel costs_for(const PostedProgram& program, const Scenario& scenario) {
  const Placement& placement = program.schedule.placement;
  Scenario laid = scenario;
  if (laid.job && laid.job->is_balanced && !laid.job->layout)
    laid.job->layout = quickest_layout(*laid.job, program, scenario.iteration);
  CostModel costs(laid.costs_over(placement), placement, scenario.cost_options);
  const std::size_t actions = program.schedule.actions.size();
  if (scenario.costs_by_hand && !costs.can_add_up(actions))
    throw UsageError(
        fmt::format("the costs given by hand are too large: the times and sizes of {} "
                    "actions cannot be added up",
                    actions));
  return costs;
}

bool can_be_laid_better(const Scenario& scenario) {
  return scenario.job && !scenario.job->layout && !scenario.job->is_balanced && !scenario.links &&
         !scenario.noise && !scenario.shares_links() && scenario.cost_options.scales.empty() &&
         (scenario.cost_options.overlap == Overlap::Auto ||
          scenario.cost_options.overlap == Overlap::Phases);
}

std::optional<BetterLayout> better_layout(const PostedProgram& program, const Scenario& scenario,
                                          Time time) {
  const MemoryLimit limit = scenario.limit();
  return better_layout(
      *scenario.job, program, scenario.iteration, time,
      limit.bytes ? tensor_memory(*limit.bytes) : std::numeric_limits<Bytes>::max());
}

Prediction predict(ScheduledProgram scheduled, const Scenario& scenario, Progress& progress) {
  PostedProgram& program = scheduled.program;
  const std::string name = program.schedule.name;
  CostModel costs = costs_for(program, scenario);
  progress.now(fmt::format("{}: building the graph", name));
  DependencyGraph graph = build_graph(std::move(program), std::move(costs));
  progress.now(fmt::format("{}: simulating", name));
  Timeline timeline = simulate(graph);
  std::optional<NoiseReport> noise;
  if (scenario.noise) {
    progress.now(fmt::format("{}: simulating {} steps with noise", name, scenario.noise->samples));
    noise = study_noise(graph, *scenario.noise, scenario.iteration);
  }
  std::optional<StepWork> work;
  if (scenario.job)
    work =
        step_work(*scenario.job, graph.schedule().placement.ranks, graph.schedule().microbatches);
  return {std::move(graph), std::move(timeline), scheduled.search,
          std::move(noise), scenario.iteration,  work};
}

namespace {

/// Times that are possible in no run.
void note_odd_times(const StageCost& stage, const GlobalOptions& global) {
  const Time backward = stage.backward.value_or(stage.input_grad + stage.weight_grad);
  if (backward < stage.input_grad)
    global.note("--backward is shorter than --input-grad, which is a part of it");
  if (stage.overlapped && *stage.overlapped < std::max(stage.forward, backward))
    global.note(fmt::format("--overlapped is shorter than {} alone",
                            *stage.overlapped < stage.forward ? "F" : "B"));
}

/// Options of a model's training that change nothing.
void note_training(const ModelJob& job, const GlobalOptions& global) {
  const Training& training = job.training;
  const Recompute& again = training.recompute;
  const auto note = [&](bool is_unused, std::string_view text) {
    if (is_unused)
      global.note(text);
  };
  const auto has = [&](bool (*holds)(const LayerKind&)) {
    return std::any_of(job.model.kinds.begin(), job.model.kinds.end(), holds);
  };
  note(training.recomputed_layers && again == kRecomputeNone,
       "--recompute-layers is for --recompute: nothing is recomputed");
  note(again.mlp && !has([](const LayerKind& kind) { return kind.mlp.has_value(); }),
       "--recompute mlp: the model has no dense MLP");
  note(again.experts && !job.model.has_experts(), "--recompute moe: the model has no experts");
  note(training.gather_overlap && (training.zero == 0 || training.zero == 3),
       "--gather is for --zero 1 and 2");
  note(training.dispatch_overlap && !(job.model.has_experts() && job.parallel.expert > 1),
       "--dispatch-overlap is for experts on several GPUs");
  note(training.fused_experts && !job.model.has_experts(),
       "--fused-experts: the model has no experts");
  const Hardware::Host& host = job.hardware.host;
  note(training.cuda_graphs != CudaGraphs::None &&
           host.layer_forward + host.experts + host.action == Time{},
       "--cuda-graphs changes nothing: the hardware's file does not say what its host costs");
}

}  // namespace

void note_costs(const Scenario& scenario, const GlobalOptions& global) {
  if (scenario.job)
    note_training(*scenario.job, global);
  if (scenario.job && !scenario.job->model.note.empty())
    global.note(scenario.job->model.note);
  if (const auto words =
          scenario.job ? estimated_mixers(scenario.job->model) : std::vector<std::string>();
      !words.empty())
    global.note(
        fmt::format("how fast the kernels of {} are is an estimate", fmt::join(words, ", ")));
  if (scenario.costs_by_hand)
    note_odd_times(scenario.costs.stages.front(), global);
  const auto made_for = scenario.costs.ranks;
  if (made_for && *made_for != scenario.shape.ranks)
    global.note(fmt::format("costs '{}' were made for {} ranks and are used as they are for {}",
                            scenario.costs.name, *made_for, scenario.shape.ranks));
  note_nodes(scenario, global);
  const auto& stages = scenario.costs.stages;
  const auto tells_update = [](const StageCost& stage) {
    return stage.grad_reduce + stage.optimizer > Time::zero();
  };
  const IterationOptions usual;
  const bool is_asked =
      scenario.iteration.reduce != usual.reduce || scenario.iteration.sync != usual.sync;
  if (is_asked && !scenario.job && std::none_of(stages.begin(), stages.end(), tells_update))
    global.note("--reduce and --optimizer-sync are for costs with --grad-reduce or --optimizer");
  const auto& scales = scenario.cost_options.scales;
  const Overlap overlap = scenario.cost_options.overlap;
  const bool keeps_pairs = (overlap == Overlap::Auto || overlap == Overlap::Given) &&
                           std::any_of(stages.begin(), stages.end(), [](const StageCost& stage) {
                             return stage.overlapped.has_value();
                           });
  if (keeps_pairs && std::any_of(scales.begin(), scales.end(),
                                 [](const CostScale& scale) { return scale.is_of_ops(); }))
    global.note(
        "--scale leaves F&B pairs as long as the costs say: --overlap phases makes them of their "
        "phases, --scale overlapped=FACTOR scales them");
  if (scenario.costs.stage_by_stage && scenario.cost_options.per == CostPer::OneStage)
    global.note(fmt::format("--cost-per changes nothing: costs '{}' are given stage by stage",
                            scenario.costs.name));
}

}  // namespace bubblescope

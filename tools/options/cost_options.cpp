#include "tools/options/cost_options.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "analysis/traces/unpacked_file.h"
#include "sim/base/error.h"
#include "sim/costs/cost_file.h"
#include "tools/options/framework_defaults.h"
#include "tools/options/named_input.h"
#include "tools/options/units.h"

namespace bubblescope {

namespace {

CostScale read_scale(const std::string& word) {
  try {
    return parse_scale(word);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

}  // namespace

CostCommandOptions::CostCommandOptions()
    : by_hand{.name = "by hand", .description = "the command line", .stages = {StageCost{}}} {}

void CostCommandOptions::add_hand_to(CLI::App& app) {
  const auto add = [&](const char* name, const char* word, const char* help, auto& value,
                       auto read) {
    hand.add(add_option(app, {name, word, help, "Costs"}, value, read));
  };
  StageCost& stage = by_hand.stages.front();
  add("--forward", "TIME", "F: the forward", stage.forward, read_time);
  add("--input-grad", "TIME", "I: the backward for the input (dgrad)", stage.input_grad, read_time);
  add("--weight-grad", "TIME", "W: the backward for the weights (wgrad)", stage.weight_grad,
      read_time);
  add("--backward", "TIME", "B: the full backward (default: I + W)", stage.backward, read_time);
  add("--overlapped", "TIME", "an F&B pair (default: F + B)", stage.overlapped, read_time);
  add("--p2p", "TIME", "latency of a message between ranks (default: 0)", by_hand.link.latency,
      read_time);
  add("--bandwidth", "RATE", "of a link, such as 50GB/s (default: unlimited)",
      by_hand.link.bytes_per_second, read_rate);
  add("--message", "SIZE", "of a message (default: 0)", stage.message, read_size);
  add("--activation", "SIZE", "of a micro-batch's activations on a rank", stage.activation,
      read_size);
  add("--weights", "SIZE", "of a rank's weights, gradients and optimizer state", stage.weights,
      read_size);
  add("--grad-reduce", "TIME", "of a rank's gradients over data-parallel ranks, once a step",
      stage.grad_reduce, read_time);
  add("--optimizer", "TIME", "the update of a rank's weights, once a step", stage.optimizer,
      read_time);
}

void CostCommandOptions::add_source_to(CLI::App& app) {
  CLI::Option* costs =
      add_option(app,
                 {"--costs", "FILE|NAME",
                  "a table, such as deepseek-v3-h800; a wrong name lists all", "Costs"},
                 file);
  add_hand_to(app);
  options.add(add_option(
      app,
      {"--cost-per", "WHAT",
       "rank: durations and sizes are for one p-th of the model (default); stage: as they stand",
       "Costs"},
      how.per, one_of<CostPer>({{"rank", CostPer::WholeRank}, {"stage", CostPer::OneStage}})));
  options.add(add_option(
      app,
      {"--overlap", "FROM",
       "an F&B pair lasts: given, as the costs say; phases, as its phases run side by side; sum, "
       "F + B; auto, the first of these that the costs have (default)",
       "Costs"},
      how.overlap,
      one_of<Overlap>({{"auto", Overlap::Auto},
                       {"given", Overlap::Given},
                       {"phases", Overlap::Phases},
                       {"sum", Overlap::Sum}})));
  options.add(
      add_list(app,
               {"--scale", "WHAT=FACTOR,...",
                "what if: takes a cost so many times, forward=0.9. Costs: forward, "
                "input-grad, weight-grad, backward (both parts), overlapped, p2p, bandwidth, "
                "message, nvlink, nic, stage:N, rank:N, phase:NAME (* for any letters)",
                "Costs"},
               how.scales, read_scale));
  network.add_to(app);
  model.add_to(app);
  const auto exclude = [&](CLI::Option* option, const OptionGroup& group) {
    for (const CLI::Option* other : group.options())
      option->excludes(app.get_option("--" + other->get_lnames().front()));
  };
  CLI::Option* model_option = app.get_option("--model");
  for (const OptionGroup* group : {&hand, &network.given, &model.given})
    exclude(costs, *group);
  for (const OptionGroup* group : {&hand, &network.between_nodes})
    exclude(model_option, *group);
  model_option->excludes(app.get_option("--cost-per"));
  add_like(app, like, model.given);
  app.callback([this] {
    const FrameworkDefaults* defaults = framework_defaults(like);
    if (defaults == nullptr)
      return;
    apply(*defaults, model.given, model.training, comm);
    if (model.degrees.expert.value_or(1) > 1 && !model.given.is_given("--sequence-parallel"))
      model.training.sequence_parallel = true;  // which these need
  });
}

void add_iteration(CLI::App& app, IterationOptions& options, OptionGroup& given) {
  given.add(add_option(
      app,
      {"--reduce", "WHEN",
       "gradients are reduced: after a rank's last action (default); overlapped, after each "
       "stage's last backward, beside the actions",
       "Costs"},
      options.reduce,
      one_of<GradReduce>({{"after", GradReduce::After}, {"overlapped", GradReduce::Overlapped}})));
  given.add(add_option(
      app,
      {"--optimizer-sync", "WHAT",
       "the optimizer waits for: global, all ranks' gradients (default); none, its own, as Zero "
       "Bubble's does",
       "Costs"},
      options.sync,
      one_of<OptimizerSync>({{"global", OptimizerSync::Global}, {"none", OptimizerSync::None}})));
}

void CostCommandOptions::add_to(CLI::App& app) {
  add_source_to(app);
  add_iteration(app, iteration_options, iteration);
  for (const char* name : {"--grad-reduce", "--optimizer"})
    iteration.add(app.get_option(name));
  comm.add_to(app);
}

bool CostCommandOptions::is_given_by_hand(std::string_view option) const {
  return hand.is_given(option) || std::find(varied.begin(), varied.end(), option) != varied.end();
}

CostSource CostCommandOptions::source_by_hand() const {
  for (const char* option : {"--forward", "--input-grad", "--weight-grad"})
    if (!is_given_by_hand(option))
      throw UsageError(
          fmt::format("{} is required where costs are given by hand; or take a table with --costs, "
                      "or a --model",
                      option));
  CostSource source = by_hand;
  source.network = network.by_hand(source.link);
  if (links_are_measured) {
    for (const char* option : {"--p2p", "--bandwidth"})
      if (hand.is_given(option))
        throw wrong_option(option, "the profile says how long messages take");
    if (network.given.is_given())
      throw wrong_option(network.given.first_given(), "the profile says how long messages take");
    return source;
  }
  const bool has_rate = is_given_by_hand("--bandwidth") || network.has_rate();
  if (has_rate != is_given_by_hand("--message"))
    throw UsageError(
        source.network
            ? "a rate (--bandwidth, --inter-bandwidth, --nic, --nvlink) and --message go together"
            : "--bandwidth and --message go together",
        {"--bandwidth", "--message"});
  check_rates(source);
  return source;
}

/// The ways that a message may go have to be such that its time can be told.
void CostCommandOptions::check_rates(const CostSource& source) const {
  if (how.overlap == Overlap::Given && !is_given_by_hand("--overlapped"))
    throw UsageError("--overlap given needs --overlapped", {"--overlap"});
  const auto check = [&](const Link& link, const char* rate) {
    try {
      message_time(link, source.stages[0].message);
    } catch (const Error& error) {
      throw UsageError(fmt::format("--message at {}: {}", rate, error.what()), {"--message"});
    }
  };
  check(source.link, "--bandwidth");
  if (!source.network)
    return;
  check(source.network->route(0, 0).alone, "--bandwidth or --nvlink");
  check(source.network->route(0, source.network->ranks_per_node).alone,
        "--bandwidth, --inter-bandwidth or --nic");
}

std::optional<ModelJob> CostCommandOptions::job(std::optional<int> ranks) const {
  if (!model.are_given())
    return std::nullopt;
  ModelJob job = model.job(ranks);
  job.nodes = network.nodes;
  try {
    check_nodes(job);
  } catch (const Error& error) {
    throw wrong_option("--ranks-per-node", error.what());
  }
  if (job.nodes.nvlink > 0 && ranks_per_node(job) == 1)
    throw wrong_option(
        "--nvlink",
        fmt::format("no two of the pipeline's ranks share a node, so no message is within one: "
                    "each has {} GPUs, and a node {}",
                    job.parallel.gpus_per_stage(), job.hardware.gpus_per_node));
  return job;
}

CostSource CostCommandOptions::source() const {
  if (file.empty())
    return source_by_hand();
  return find_input(
      {"--costs", "data/costs", embedded_costs()}, file,
      [](const std::string& path) {
        return parse_costs(read_unpacked(path, kMostCostFileBytes), path);
      },
      [](std::string_view text, const std::string& place) { return parse_costs(text, place); });
}

std::optional<Time> CostCommandOptions::latency_alone() const {
  for (const OptionGroup* group : {&hand, &network.given, &model.given})
    for (const CLI::Option* option : group->options())
      if (option->count() > 0 && !option->check_lname("p2p"))
        throw UsageError("the costs are those of the profile: beside it only --p2p can be given",
                         {"--" + option->get_lnames().front()});
  if (!file.empty())
    throw UsageError("the costs are those of the profile: beside it only --p2p can be given",
                     {"--costs"});
  return hand.is_given("--p2p") ? std::optional(by_hand.link.latency) : std::nullopt;
}

bool CostCommandOptions::are_given() const {
  return !file.empty() || model.are_given() || network.given.is_given() || hand.is_given();
}

}  // namespace bubblescope

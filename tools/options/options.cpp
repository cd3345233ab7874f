#include "tools/options/options.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "analysis/traces/unpacked_file.h"
#include "sim/base/error.h"
#include "sim/base/files.h"
#include "sim/base/nearest.h"
#include "sim/costs/cost_file.h"
#include "tools/embedded_data.h"
#include "tools/errors.h"
#include "tools/message.h"
#include "tools/options/units.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

std::vector<std::string> words(std::string_view list) {
  std::vector<std::string> result;
  for (auto begin = list.begin(); begin != list.end();) {
    const auto end = std::find(begin, list.end(), '|');
    result.emplace_back(begin, end);
    begin = end == list.end() ? end : end + 1;
  }
  return result;
}

std::vector<std::string> comm_words() {
  std::vector<std::string> names;
  for (const CommName& each : comm_names())
    names.emplace_back(each.name);
  return names;
}

std::string joined(const std::vector<std::string>& names, std::string_view separator) {
  return fmt::format("{}", fmt::join(names, separator));
}

constexpr std::string_view kFormats = "table|json|csv|md";
constexpr std::string_view kColors = "auto|always|never";
constexpr std::string_view kPer = "rank|stage";
constexpr std::string_view kObjectives = "step|span";
constexpr std::string_view kReductions = "after|overlapped";
constexpr std::string_view kSyncs = "global|none";
constexpr std::string_view kOverlaps = "auto|given|phases|sum";

/// The first of the list where none is given.
std::size_t choose_from(const char* option, const std::string& given, std::string_view list) {
  return given.empty() ? 0 : choose(option, given, words(list));
}

CostSource named_costs(const std::string& name) {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : embedded_costs()) {
    if (file.name == name)
      return parse_costs(file.text, fmt::format("data/costs/{}.json", name));
    names.emplace_back(file.name);
  }
  throw UsageError(fmt::format("--costs: there is no file and no cost table '{}'{}\n  tables: {}",
                               name, did_you_mean(name, names), joined(names, ", ")));
}

}  // namespace

void GlobalOptions::add_to(CLI::App& app) {
  add_option(app, {"--color", "WHEN", "auto, always or never (default: auto)", "General"}, color);
  app.add_flag("-q,--quiet", quiet, "no notes and no progress on stderr")
      ->envname(environment_name("quiet"))
      ->group("General");
}

void GlobalOptions::check() const {
  choose("--color", color, words(kColors));
}

void GlobalOptions::note(std::string_view text) const {
  if (!quiet)
    say(fmt::format("note: {}", text));
}

void OutputOptions::add_to(CLI::App& app) {
  add_option(app, {"--format", "F", "table, json, csv or md (default: table)", "Output"}, format);
  add_option(app, {"-o,--output", "FILE", "instead of stdout; .gz compresses", "Output"}, path);
}

Format OutputOptions::parsed_format() const {
  return static_cast<Format>(choose("--format", format, words(kFormats)));
}

Color OutputOptions::color(const GlobalOptions& global) const {
  return path.empty() || path == "-" ? color_for_stdout(global.color) : Color::Off;
}

void ShapeOptions::add_to(CLI::App& app) {
  add_option(app, {"-p,--ranks", "N", "pipeline ranks", "Shape"}, ranks);
  add_option(app, {"-m,--microbatches", "N", "micro-batches a step, over all pipes", "Shape"},
             microbatches);
  add_option(app, {"-v,--chunks", "N", "stages that a rank holds per pipe", "Shape"}, chunks);
  add_option(
      app,
      {"--group-size", "N",
       "micro-batches that pass a rank's chunks together, in interleaved schedules (default: "
       "p); Megatron's --microbatch-group-size-per-vp-stage",
       "Shape"},
      group_size);
}

Shape ShapeOptions::shape(const Shape& present) const {
  constexpr Range kCount = {1, std::numeric_limits<int>::max()};
  const auto count = [&](const char* option, const std::string& given, int otherwise) {
    if (given.empty() && otherwise == 0)
      throw UsageError(fmt::format("{} is required", option));
    return given.empty() ? otherwise : parse_count({option, given}, kCount);
  };
  const std::int64_t p = count("-p/--ranks", ranks, present.ranks);
  const std::int64_t m = count("-m/--microbatches", microbatches, present.microbatches);
  const std::int64_t v = chunks.empty() ? 1 : parse_count({"-v/--chunks", chunks}, kCount);
  const double ops = 3.0 * static_cast<double>(p) * static_cast<double>(m) * static_cast<double>(v);
  if (ops > static_cast<double>(kMostOps))
    throw UsageError(fmt::format(
        "p={}, m={}, v={} are too large: {:.3g} ops, and {} are the most that can be numbered", p,
        m, v, ops, kMostOps));
  return {.ranks = static_cast<int>(p),
          .microbatches = static_cast<int>(m),
          .chunks = chunks.empty() ? std::nullopt : std::optional(static_cast<int>(v)),
          .group_size = group_size.empty() ? std::nullopt
                                           : std::optional(static_cast<int>(parse_count(
                                                 {"--group-size", group_size}, kCount)))};
}

void CostCommandOptions::add_source_to(CLI::App& app) {
  const auto add = [&](const char* name, const char* word, const char* help, std::string& value) {
    add_option(app, {name, word, help, "Costs"}, value);
  };
  add("--costs", "FILE|NAME", "a table, such as deepseek-v3-h800; a wrong name lists all", costs);
  add("--forward", "TIME", "F: the forward", forward);
  add("--input-grad", "TIME", "I: the backward for the input", input_grad);
  add("--weight-grad", "TIME", "W: the backward for the weights", weight_grad);
  add("--backward", "TIME", "B: the full backward (default: I + W)", backward);
  add("--overlapped", "TIME", "an F&B pair (default: F + B)", overlapped);
  add("--p2p", "TIME", "latency of a message between ranks (default: 0)", p2p);
  add("--bandwidth", "RATE", "of a link, such as 50GB/s (default: unlimited)", bandwidth);
  add("--message", "SIZE", "of a message (default: 0)", message);
  add("--activation", "SIZE", "of a micro-batch's activations on a rank", activation);
  add("--weights", "SIZE", "of a rank's weights, gradients and optimizer state", weights);
  add("--grad-reduce", "TIME", "of a rank's gradients over data-parallel ranks, once a step",
      grad_reduce);
  add("--optimizer", "TIME", "the update of a rank's weights, once a step", optimizer);
  add("--cost-per", "WHAT",
      "rank: durations and sizes are for one p-th of the model (default); stage: as they stand",
      per);
  add("--overlap", "FROM",
      "an F&B pair lasts: given, as the costs say; phases, as its phases run side by side; sum, "
      "F + B; auto, the first of these that the costs tell (default)",
      overlap);
  network.add_to(app);
  model.add_to(app);
}

void CostCommandOptions::add_to(CLI::App& app) {
  add_source_to(app);
  add_option(app,
             {"--reduce", "WHEN",
              "gradients are reduced: after a rank's last action (default); overlapped, after each "
              "stage's last backward, beside the actions",
              "Costs"},
             reduce_when);
  add_option(
      app,
      {"--optimizer-sync", "WHAT",
       "the optimizer waits for: global, all ranks' gradients (default); none, its own, as Zero "
       "Bubble's does",
       "Costs"},
      optimizer_sync);
  comm.add_to(app);
}

std::vector<std::pair<const char*, const std::string*>> CostCommandOptions::parts() const {
  return {
      {"--forward", &forward},     {"--input-grad", &input_grad},   {"--weight-grad", &weight_grad},
      {"--backward", &backward},   {"--overlapped", &overlapped},   {"--p2p", &p2p},
      {"--bandwidth", &bandwidth}, {"--message", &message},         {"--activation", &activation},
      {"--weights", &weights},     {"--grad-reduce", &grad_reduce}, {"--optimizer", &optimizer}};
}

StageCost CostCommandOptions::stage_by_hand() const {
  StageCost stage;
  stage.forward = parse_time({"--forward", forward});
  stage.input_grad = parse_time({"--input-grad", input_grad});
  stage.weight_grad = parse_time({"--weight-grad", weight_grad});
  if (!backward.empty())
    stage.backward = parse_time({"--backward", backward});
  if (!overlapped.empty())
    stage.overlapped = parse_time({"--overlapped", overlapped});
  if (!message.empty())
    stage.message = parse_size({"--message", message});
  if (!activation.empty())
    stage.activation = parse_size({"--activation", activation});
  if (!weights.empty())
    stage.weights = parse_size({"--weights", weights});
  if (!grad_reduce.empty())
    stage.grad_reduce = parse_time({"--grad-reduce", grad_reduce});
  if (!optimizer.empty())
    stage.optimizer = parse_time({"--optimizer", optimizer});
  return stage;
}

Link CostCommandOptions::link_by_hand() const {
  Link link;
  if (!p2p.empty())
    link.latency = parse_time({"--p2p", p2p});
  if (!bandwidth.empty())
    link.bytes_per_second = parse_rate({"--bandwidth", bandwidth});
  return link;
}

CostSource CostCommandOptions::by_hand() const {
  for (const auto& [option, value] : {std::pair("--forward", &forward),
                                      {"--input-grad", &input_grad},
                                      {"--weight-grad", &weight_grad}})
    if (value->empty())
      throw UsageError(
          fmt::format("{} is required where costs are given by hand; or take a table "
                      "with --costs, or a --model",
                      option));
  CostSource source{.name = "by hand", .description = "the command line"};
  source.stages.push_back(stage_by_hand());
  source.link = link_by_hand();
  source.network = network.by_hand(source.link);
  if (links_are_measured) {
    for (const auto& [option, value] : {std::pair("--p2p", &p2p), {"--bandwidth", &bandwidth}})
      if (!value->empty())
        throw UsageError(fmt::format("{}: the profile tells what messages take", option));
    if (network.are_given())
      throw UsageError(
          fmt::format("{}: the profile tells what messages take", network.first_given()));
    return source;
  }
  if ((!bandwidth.empty() || network.has_rate()) == message.empty())
    throw UsageError(
        source.network
            ? "a rate (--bandwidth, --inter-bandwidth, --nic, --nvlink) and --message go together"
            : "--bandwidth and --message go together: a message takes p2p + size / rate");
  if (overlapped.empty() && overlap == "given")
    throw UsageError("--overlap given needs --overlapped");
  const auto check = [&](const Link& link, const char* rate) {
    try {
      message_time(link, source.stages[0].message);
    } catch (const Error& error) {
      throw UsageError(fmt::format("--message at {}: {}", rate, error.what()));
    }
  };
  check(source.link, "--bandwidth");
  if (source.network) {  // the two ways that a message may go
    check(source.network->route(0, 0).alone, "--bandwidth or --nvlink");
    check(source.network->route(0, source.network->ranks_per_node).alone,
          "--bandwidth, --inter-bandwidth or --nic");
  }
  return source;
}

void CostCommandOptions::refuse_by_hand(const std::string& source) const {
  for (const auto& [option, value] : parts())
    if (!value->empty())
      throw UsageError(fmt::format("{} does not go with {}: one source of costs", option, source));
}

std::optional<ModelJob> CostCommandOptions::job() const {
  if (!model.are_given())
    return std::nullopt;
  if (!costs.empty())
    throw UsageError(
        fmt::format("{} does not go with --costs: one source of costs", model.first_given()));
  if (model.model.empty())  // costs by hand, and an option astray
    for (const auto& [option, value] : parts())
      if (!value->empty())
        throw UsageError(fmt::format("{} is for costs from a --model, and {} gives them by hand",
                                     model.first_given(), option));
  refuse_by_hand("--model");
  if (options().per != CostPer::WholeRank)
    throw UsageError("--cost-per does not go with --model: it tells the costs of each stage");
  ModelJob job = model.job();
  job.nodes = network.of_model();
  try {
    check_nodes(job);
  } catch (const Error& error) {
    throw UsageError(fmt::format("--ranks-per-node: {}", error.what()));
  }
  if (job.nodes.nvlink > 0 && ranks_per_node(job) == 1)
    throw UsageError(fmt::format(
        "--nvlink: no two of the pipeline's ranks share a node, so no message is within one: each "
        "has {} GPUs, and a node {}",
        job.parallel.gpus_per_stage(), job.hardware.gpus_per_node));
  return job;
}

CostSource CostCommandOptions::source() const {
  if (costs.empty())
    return by_hand();
  refuse_by_hand("--costs");
  if (network.are_given())
    throw UsageError(fmt::format("{} does not go with --costs: a cost file tells its network",
                                 network.first_given()));
  const bool is_path = costs.find('/') != std::string::npos || costs.ends_with(".json") ||
                       costs.ends_with(".json.gz") || exists(costs);
  return is_path ? parse_costs(read_unpacked(costs, kMostCostFileBytes), costs)
                 : named_costs(costs);
}

std::optional<Time> CostCommandOptions::latency_alone() const {
  CostCommandOptions others = *this;
  others.p2p.clear();
  if (others.are_given())
    throw UsageError("the costs are those of the profile: beside it only --p2p can be given");
  return p2p.empty() ? std::nullopt : std::optional(parse_time({"--p2p", p2p}));
}

bool CostCommandOptions::are_given() const {
  const auto by_hand_parts = parts();
  return !costs.empty() || model.are_given() || network.are_given() ||
         std::any_of(by_hand_parts.begin(), by_hand_parts.end(),
                     [](const auto& part) { return !part.second->empty(); });
}

IterationOptions CostCommandOptions::iteration_options() const {
  return {
      .reduce = static_cast<GradReduce>(choose_from("--reduce", reduce_when, kReductions)),
      .sync = static_cast<OptimizerSync>(choose_from("--optimizer-sync", optimizer_sync, kSyncs))};
}

CostOptions CostCommandOptions::options() const {
  return {.per = static_cast<CostPer>(choose_from("--cost-per", per, kPer)),
          .overlap = static_cast<Overlap>(choose_from("--overlap", overlap, kOverlaps))};
}

void CommOptions::add_to(CLI::App& app) {
  const char* group = "Communication";
  add_option(
      app,
      {"--comm", "WAY",
       "how messages travel: ideal, occupying no one (default); stream, beside the actions "
       "and one after another; batched, started together and waited for; torch, as PyTorch's "
       "pipeline runtime posts them",
       group},
      comm);
  add_option(app,
             {"--channels", "WHICH",
              "which of a rank's messages run one after another, with stream and torch: rank, all; "
              "pair, those with one peer (torch's default); direction, those from or to one peer "
              "(stream's default)",
              group},
             channels);
}

CommChoice CommOptions::choice() const {
  CommChoice choice;
  if (!comm.empty())
    choice.comm = comm_names()[choose("--comm", comm, comm_words())].comm;
  if (!channels.empty())
    choice.channels = static_cast<Channels>(
        choose("--channels", channels, {channels_names().begin(), channels_names().end()}));
  return choice;
}

void CommChoice::set_channels(PostedProgram& program) const {
  if (!channels)
    return;
  if (!has_channels(program.comm))
    throw UsageError(fmt::format(
        "--channels is for messages that are posted one by one: --comm torch or stream, not {}",
        to_string(program.comm)));
  program.channels = *channels;
}

const CatalogueEntry& require_schedule(std::string_view name) {
  const CatalogueEntry* entry = find_schedule(name);
  if (entry == nullptr)
    throw UsageError(fmt::format("there is no schedule '{}'{}\n  schedules: {}", name.substr(0, 40),
                                 did_you_mean(name, schedule_names()),
                                 joined(schedule_names(), ", ")));
  return *entry;
}

void LimitOptions::add_to(CLI::App& app) {
  const char* group = "Memory and automatic schedules";
  add_option(
      app,
      {"--memory-limit", "N|SIZE",
       "live activations of stages, or bytes a rank (80GB; with --model always), to compare "
       "schedules of one and of two stages a rank: zb-auto and v-auto stay within it (default: "
       "what 1F1B holds), and what does not fit is marked (default with --model: what a GPU has)",
       group},
      memory_limit);
  add_option(app,
             {"--objective", "WHAT",
              "what zb-auto and v-auto make short, with ideal communication: step, the step time "
              "(default); "
              "span, the widest rank's",
              group},
             objective);
  add_option(app,
             {"--effort", "N", "how many passes they search, of which the best counts (default: 1)",
              group},
             effort);
}

MemoryLimit LimitOptions::limit() const {
  if (memory_limit.empty())
    return {};
  const bool is_number = std::all_of(memory_limit.begin(), memory_limit.end(),
                                     [](unsigned char c) { return std::isdigit(c) != 0; });
  constexpr Range kCount = {1, std::numeric_limits<int>::max()};
  if (is_number)
    return {.live_activations =
                static_cast<int>(parse_count({"--memory-limit", memory_limit}, kCount))};
  return {.bytes = parse_size({"--memory-limit", memory_limit})};
}

AutomaticOptions LimitOptions::options() const {
  constexpr Range kEffort = {1, 1'000'000};
  return {
      .memory = limit(),
      .objective = static_cast<Objective>(choose_from("--objective", objective, kObjectives)),
      .effort = effort.empty() ? 1 : static_cast<int>(parse_count({"--effort", effort}, kEffort))};
}

}  // namespace bubblescope

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "backend_cuda/replay/profile.h"
#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "bubblescope-profile/1";
constexpr int kMostCtas = 32;  // that NCCL takes
constexpr std::size_t kMostProfileBytes = std::size_t{4} << 20;
constexpr std::array<const char*, kOpKinds> kKinds = {"forward", "input_grad", "weight_grad",
                                                      "backward"};

Json gaps_json(const LaunchGaps& gaps) {
  return {{"action_to_action_ns", gaps.action_to_action.count()},
          {"action_to_message_ns", gaps.action_to_message.count()},
          {"message_to_action_ns", gaps.message_to_action.count()},
          {"message_overrun_ns", gaps.message_overrun.count()}};
}

Json stage_json(const StageCost& stage) {
  return {{"forward_ns", stage.forward.count()},
          {"input_grad_ns", stage.input_grad.count()},
          {"weight_grad_ns", stage.weight_grad.count()},
          {"backward_ns", stage.backward.value_or(stage.input_grad + stage.weight_grad).count()}};
}

Json stages_json(const std::vector<StageTimes>& stages) {
  Json json = Json::array();
  for (const StageTimes& each : stages) {
    json.push_back({{"blocks", each.blocks},
                    {"first", stage_json(each.first)},
                    {"middle", stage_json(each.middle)},
                    {"last", stage_json(each.last)}});
    for (std::size_t kind = 0; kind < kKinds.size(); ++kind)
      json.back()["slowdown"][kKinds[kind]] = each.slowdown[kind];
  }
  return json;
}

Json options_json(const ExecutorOptions& options) {
  return {{"workload", options.workload == Workload::Tensors ? "tensors" : "timed"},
          {"tokens", options.shape.tokens},
          {"hidden", options.shape.hidden},
          {"inner", options.shape.inner},
          {"blocks", options.shape.blocks},
          {"real_time", options.real_time},
          {"launch", options.launch == Launch::Graph ? "graph" : "streams"},
          {"partitions", options.partitions},
          {"max_ctas", options.max_ctas}};
}

Json link_json(const MeasuredLink& measured) {
  Json json = {{"latency_ns", measured.link.latency.count()},
               {"bytes_per_second", measured.link.bytes_per_second},
               {"error", measured.error}};
  for (const MeasuredLink::Sample& each : measured.samples)
    json["samples"].push_back({{"bytes", each.bytes}, {"time_ns", each.time.count()}});
  return json;
}

Json links_json(const MeasuredLinks& links) {
  Json json = {{"node_of_rank", links.node_of_rank}, {"replicas", links.replicas}};
  for (const auto& [key, link] : {std::pair("same_node", &links.same_node),
                                  {"across", &links.across},
                                  {"all_to_all", &links.all_to_all}})
    if (*link)
      json[key] = link_json(**link);
  return json;
}

/// Not so long that a step's times could overflow.
Time time(ObjectReader& object, const std::string& key) {
  constexpr std::int64_t kLongest = 1'000'000'000'000'000;
  const std::int64_t nanoseconds = object.integer(key);
  if (nanoseconds > kLongest)
    object.fail(key, "is longer than 11 days");
  return Time(nanoseconds);
}

int small(ObjectReader& object, const std::string& key) {
  const std::int64_t value = object.integer(key);
  if (value < 1 || value > std::numeric_limits<int>::max())
    object.fail(key, fmt::format("expected 1 or more, and no more than fits, got {}", value));
  return static_cast<int>(value);
}

double ratio(ObjectReader& object, const std::string& key, double least) {
  constexpr double kMost = 1000;
  const double value = object.number(key);
  if (!(value >= least && value <= kMost))
    object.fail(key, fmt::format("expected {:g} to {:g}, got {:g}", least, kMost, value));
  return value;
}

/// Which of two words stands there.
bool is_first_word(ObjectReader& object, const std::string& key, std::string_view first,
                   std::string_view second) {
  const std::string word = object.text(key);
  if (word != first && word != second)
    object.fail(key, fmt::format("expected \"{}\" or \"{}\", got \"{}\"", first, second, word));
  return word == first;
}

MeasuredLink read_link(ObjectReader object) {
  MeasuredLink measured;
  measured.link.latency = time(object, "latency_ns");
  measured.link.bytes_per_second = object.number("bytes_per_second");
  measured.error = object.number("error");
  if (auto samples = object.optional_objects("samples"))
    for (ObjectReader& each : *samples) {
      measured.samples.push_back({each.integer("bytes"), time(each, "time_ns")});
      each.finish();
    }
  object.finish();
  return measured;
}

MeasuredLinks read_links(ObjectReader object, int ranks) {
  MeasuredLinks links;
  for (const std::int64_t node : object.integers("node_of_rank")) {
    if (node >= ranks)
      object.fail(fmt::format("node_of_rank/{}", links.node_of_rank.size()),
                  fmt::format("expected nodes 0 to {}, got {}", ranks - 1, node));
    links.node_of_rank.push_back(static_cast<std::int32_t>(node));
  }
  if (links.node_of_rank.size() != static_cast<std::size_t>(ranks))
    object.fail("node_of_rank",
                fmt::format("expected {} ranks, got {}", ranks, links.node_of_rank.size()));
  links.replicas = small(object, "replicas");
  for (const auto& [key, link] : {std::pair("same_node", &links.same_node),
                                  {"across", &links.across},
                                  {"all_to_all", &links.all_to_all}})
    if (auto told = object.optional_object(key))
      *link = read_link(std::move(*told));
  for (std::size_t rank = 0; ranks > 1 && rank < links.node_of_rank.size(); ++rank) {
    const std::size_t next = (rank + 1) % links.node_of_rank.size();
    const bool near = links.node_of_rank[rank] == links.node_of_rank[next];
    if (!(near ? links.same_node : links.across))
      object.fail(near ? "same_node" : "across",
                  fmt::format("is missing, the way between ranks {} and {}", rank, next));
  }
  object.finish();
  return links;
}

LaunchGaps read_gaps(ObjectReader object) {
  const LaunchGaps gaps{.action_to_action = time(object, "action_to_action_ns"),
                        .action_to_message = time(object, "action_to_message_ns"),
                        .message_to_action = time(object, "message_to_action_ns"),
                        .message_overrun = time(object, "message_overrun_ns")};
  object.finish();
  return gaps;
}

StageCost read_stage(ObjectReader object) {
  StageCost stage{.forward = time(object, "forward_ns"),
                  .input_grad = time(object, "input_grad_ns"),
                  .weight_grad = time(object, "weight_grad_ns"),
                  .backward = time(object, "backward_ns")};
  object.finish();
  return stage;
}

StageTimes read_stage_times(ObjectReader& parent) {
  StageTimes times{.blocks = small(parent, "blocks"),
                   .first = read_stage(parent.object("first")),
                   .middle = read_stage(parent.object("middle")),
                   .last = read_stage(parent.object("last"))};
  ObjectReader slowdown = parent.object("slowdown");
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind)
    times.slowdown[kind] = ratio(slowdown, kKinds[kind], 1);
  slowdown.finish();
  parent.finish();
  return times;
}

ExecutorOptions read_options(ObjectReader object) {
  ExecutorOptions options;
  options.workload =
      is_first_word(object, "workload", "tensors", "timed") ? Workload::Tensors : Workload::Timed;
  options.shape.tokens = small(object, "tokens");
  options.shape.hidden = small(object, "hidden");
  options.shape.inner = small(object, "inner");
  options.shape.blocks = small(object, "blocks");
  options.real_time = object.flag("real_time");
  options.launch =
      is_first_word(object, "launch", "graph", "streams") ? Launch::Graph : Launch::Streams;
  options.partitions = object.flag("partitions");
  const std::int64_t ctas = object.optional_integer("max_ctas").value_or(0);
  if (ctas > kMostCtas)
    object.fail("max_ctas", fmt::format("expected 0 to {}, got {}", kMostCtas, ctas));
  options.max_ctas = static_cast<int>(ctas);
  object.finish();
  return options;
}

}  // namespace

std::string profile_json(const Profile& profile) {
  Json json = {{"format", kFormat},
               {"backend", profile.backend},
               {"created", profile.created},
               {"command", profile.command},
               {"machine", Json::object()},
               {"ranks", profile.ranks},
               {"options", options_json(profile.options)},
               {"gaps", Json::object()},
               {"p2p_ns", profile.p2p.count()},
               {"action_overrun_ns", profile.action_overrun.count()},
               {"noise", profile.noise}};
  if (profile.links)
    json["links"] = links_json(*profile.links);
  for (const Contention& each : profile.contention)
    json["contention"].push_back({{"max_ctas", each.max_ctas}, {"slowdown", each.slowdown}});
  if (!profile.stages.empty())
    json["stages"] = stages_json(profile.stages);
  for (const auto& [name, value] : profile.machine)
    json["machine"][name] = value;
  for (const CommName& each : comm_names())
    json["gaps"][std::string(each.name)] =
        gaps_json(profile.gaps[static_cast<std::size_t>(each.comm)]);
  return dump_json(json, 2) + "\n";
}

Profile parse_profile(std::string_view text, const std::string& file) {
  const nlohmann::json json = parse_json(text, file);
  ObjectReader reader(json, {file, ""});
  if (const std::string format = reader.text("format"); format != kFormat)
    reader.fail("format", fmt::format("expected \"{}\", got \"{}\"", kFormat, format));
  Profile profile{.backend = reader.text("backend"),
                  .created = reader.text("created"),
                  .command = reader.text("command"),
                  .machine = reader.texts("machine"),
                  .ranks = small(reader, "ranks"),
                  .options = read_options(reader.object("options"))};
  std::stable_partition(profile.machine.begin(), profile.machine.end(),
                        [](const auto& fact) { return fact.first == "device"; });
  if (profile.machine.empty() || profile.machine.front().first != "device")
    reader.fail("machine", "\"device\" is missing");
  ObjectReader gaps = reader.object("gaps");
  for (const CommName& each : comm_names())
    profile.gaps[static_cast<std::size_t>(each.comm)] =
        read_gaps(gaps.object(std::string(each.name)));
  gaps.finish();
  profile.action_overrun = time(reader, "action_overrun_ns");
  if (auto links = reader.optional_object("links"))
    profile.links = read_links(std::move(*links), profile.ranks);
  if (auto rows = reader.optional_objects("contention"))
    for (ObjectReader& each : *rows) {
      profile.contention.push_back({small(each, "max_ctas"), ratio(each, "slowdown", 1)});
      each.finish();
    }
  if (auto stages = reader.optional_objects("stages"))
    for (ObjectReader& each : *stages)
      profile.stages.push_back(read_stage_times(each));
  profile.p2p = time(reader, "p2p_ns");
  profile.noise = ratio(reader, "noise", 0);
  reader.finish();
  return profile;
}

Profile read_profile(const std::string& path) {
  return parse_profile(read_file(path, kMostProfileBytes), path);
}

}  // namespace bubblescope

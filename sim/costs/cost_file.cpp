#include "sim/costs/cost_file.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/base/json_text.h"
#include "sim/base/printable.h"
#include "sim/costs/phases_json.h"

namespace bubblescope {
namespace {

constexpr std::string_view kCostFormat = "bubblescope-costs/1";
constexpr double kGiga = 1e9;

/// The value of `key`, in µs, as a Time.
std::optional<Time> optional_time(ObjectReader& object, const std::string& key) {
  const auto microseconds = object.optional_number(key);
  if (!microseconds)
    return std::nullopt;
  try {
    return time_from_us(*microseconds);
  } catch (const Error& error) {
    object.fail(key, error.what());
  }
}

Time time(ObjectReader& object, const std::string& key) {
  const auto value = optional_time(object, key);
  if (!value)
    object.fail(key, "is missing");
  return *value;
}

StageCost read_stage(ObjectReader& object, std::size_t& room) {
  StageCost stage;
  stage.phases = read_phases(object, room);
  stage.timed_by_phases = !stage.phases.empty() && !object.has("forward_us");
  if (stage.timed_by_phases) {
    for (const char* key :
         {"input_grad_us", "weight_grad_us", "backward_us", "exposed_communication_us"})
      if (object.has(key))
        object.fail(key, "needs forward_us beside it, or all ops last as their phases do");
  } else {
    stage.forward = time(object, "forward_us");
    stage.input_grad = time(object, "input_grad_us");
    stage.weight_grad = time(object, "weight_grad_us");
  }
  stage.backward = optional_time(object, "backward_us");
  stage.overlapped = optional_time(object, "overlapped_us");
  if (auto exposed = object.optional_object("exposed_communication_us")) {
    stage.exposed_forward = time(*exposed, "forward");
    stage.exposed_input_grad = time(*exposed, "input_grad");
    exposed->finish();
  }
  stage.activation = object.optional_integer("activation_bytes");
  stage.activation_after_input_grad = object.optional_integer("activation_bytes_after_input_grad");
  if (stage.activation_after_input_grad && !stage.activation)
    object.fail("activation_bytes_after_input_grad", "needs activation_bytes beside it");
  stage.weights = object.optional_integer("weight_bytes");
  stage.message = object.optional_integer("message_bytes").value_or(0);
  stage.grad_reduce = optional_time(object, "grad_reduce_us").value_or(Time::zero());
  stage.optimizer = optional_time(object, "optimizer_us").value_or(Time::zero());
  object.finish();
  return stage;
}

/// Bytes per second; 0 where none are told.
double read_bandwidth(ObjectReader& object, const std::string& key) {
  const auto bandwidth = object.optional_number(key);
  if (bandwidth == 0)
    object.fail(key, "expected a number > 0; leave it out for an unlimited link");
  if (bandwidth > kMostRate / kGiga)
    object.fail(key, fmt::format("expected at most {:g}, got {:g}; leave it out for an unlimited "
                                 "link",
                                 kMostRate / kGiga, *bandwidth));
  return bandwidth.value_or(0) * kGiga;
}

Link read_link(ObjectReader& object) {
  Link link;
  link.latency = optional_time(object, "latency_us").value_or(Time::zero());
  link.bytes_per_second = read_bandwidth(object, "bandwidth_GBps");
  return link;
}

NetworkLink read_network_link(ObjectReader object) {
  NetworkLink link{.message = read_link(object),
                   .shared_bytes_per_second = read_bandwidth(object, "shared_GBps")};
  object.finish();
  return link;
}

/// Node by rank: 0 … n−1, each with a rank.
std::vector<std::int32_t> read_nodes(ObjectReader& object) {
  const std::string key = "node_of_rank";
  const std::vector<std::int64_t> given = object.integers(key);
  if (given.empty())
    object.fail(key, "expected the node of each rank, got none");
  std::vector<bool> is_used(given.size());
  std::size_t nodes = 0;
  for (std::size_t rank = 0; rank < given.size(); ++rank) {
    const auto node = static_cast<std::size_t>(given[rank]);
    if (node >= given.size())
      object.fail(
          fmt::format("{}/{}", key, rank),
          fmt::format("expected a node below {}, the number of ranks, got {}", given.size(), node));
    is_used[node] = true;
    nodes = std::max(nodes, node + 1);
  }
  for (std::size_t node = 0; node < nodes; ++node)
    if (!is_used[node])
      object.fail(key, fmt::format("has ranks on node {}, but none on node {}", nodes - 1, node));
  return {given.begin(), given.end()};
}

Network read_network(ObjectReader object) {
  Network network;
  const auto per_node = object.optional_integer("ranks_per_node");
  if (per_node.has_value() == object.has("node_of_rank"))
    object.fail("node_of_rank",
                per_node ? "is given beside \"ranks_per_node\"; one of the two is expected"
                         : "is missing, or \"ranks_per_node\" for equal nodes");
  if (per_node && (*per_node < 1 || *per_node > std::numeric_limits<int>::max()))
    object.fail("ranks_per_node", fmt::format("expected a number of ranks, got {}", *per_node));
  if (per_node)
    network.ranks_per_node = static_cast<int>(*per_node);
  else
    network.node_of_rank = read_nodes(object);
  network.intra_node = read_network_link(object.object("intra_node"));
  network.inter_node = read_network_link(object.object("inter_node"));
  object.finish();
  return network;
}

void read_links(ObjectReader& file, CostSource& source) {
  auto link = file.optional_object("link");
  auto network = file.optional_object("network");
  if (link && network)
    file.fail("network", "is given beside \"link\"; one of the two is expected");
  if (link) {
    source.link = read_link(*link);
    link->finish();
  }
  if (network)
    source.network = read_network(*network);
}

/// Whether pairs can be made of both: the same phases, launched in the same order.
bool are_alike(const LayerPhases& a, const LayerPhases& b) {
  return std::equal(a.phases.begin(), a.phases.end(), b.phases.begin(), b.phases.end(),
                    [](const Phase& x, const Phase& y) {
                      return x.name == y.name && x.of == y.of && x.stream == y.stream;
                    });
}

void read_stages(ObjectReader& file, CostSource& source) {
  auto stage = file.optional_object("stage");
  auto stages = file.optional_objects("stages");
  if (stage.has_value() == stages.has_value())
    file.fail(stage ? "stages" : "stage",
              stage ? "is given beside \"stage\"; one of the two is expected"
                    : "is missing: \"stage\" for all, or \"stages\" one by one");
  source.stage_by_stage = stages.has_value();
  std::size_t room = kMostPhaseTimes;
  if (stage)
    source.stages.push_back(read_stage(*stage, room));
  else
    for (ObjectReader& each : *stages)
      source.stages.push_back(read_stage(each, room));
  for (std::size_t i = 1; i < source.stages.size(); ++i)
    if (!are_alike(source.stages[i].phases, source.stages[0].phases))
      (*stages)[i].fail("phases", "expected those of stage 0, in the same order");
}

nlohmann::ordered_json stage_json(const StageCost& stage) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!stage.timed_by_phases)
    json = {{"forward_us", to_us(stage.forward)},
            {"input_grad_us", to_us(stage.input_grad)},
            {"weight_grad_us", to_us(stage.weight_grad)}};
  if (stage.backward)
    json["backward_us"] = to_us(*stage.backward);
  if (stage.overlapped)
    json["overlapped_us"] = to_us(*stage.overlapped);
  if (stage.exposed_forward > Time::zero() || stage.exposed_input_grad > Time::zero())
    json["exposed_communication_us"] = {{"forward", to_us(stage.exposed_forward)},
                                        {"input_grad", to_us(stage.exposed_input_grad)}};
  if (stage.activation)
    json["activation_bytes"] = *stage.activation;
  if (stage.activation_after_input_grad)
    json["activation_bytes_after_input_grad"] = *stage.activation_after_input_grad;
  if (stage.weights)
    json["weight_bytes"] = *stage.weights;
  if (stage.message > 0)
    json["message_bytes"] = stage.message;
  if (stage.grad_reduce > Time::zero())
    json["grad_reduce_us"] = to_us(stage.grad_reduce);
  if (stage.optimizer > Time::zero())
    json["optimizer_us"] = to_us(stage.optimizer);
  write_phases(stage.phases, json);
  return json;
}

nlohmann::ordered_json link_json(const Link& link) {
  nlohmann::ordered_json json = {{"latency_us", to_us(link.latency)}};
  if (link.bytes_per_second > 0)
    json["bandwidth_GBps"] = link.bytes_per_second / kGiga;
  return json;
}

nlohmann::ordered_json network_link_json(const NetworkLink& link) {
  nlohmann::ordered_json json = link_json(link.message);
  if (link.shared_bytes_per_second > 0)
    json["shared_GBps"] = link.shared_bytes_per_second / kGiga;
  return json;
}

nlohmann::ordered_json network_json(const Network& network) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (network.node_of_rank.empty())
    json["ranks_per_node"] = network.ranks_per_node;
  else
    json["node_of_rank"] = network.node_of_rank;
  json["intra_node"] = network_link_json(network.intra_node);
  json["inter_node"] = network_link_json(network.inter_node);
  return json;
}

}  // namespace

CostSource parse_costs(std::string_view text, const std::string& file) {
  const nlohmann::json json = parse_json(text, file);
  ObjectReader object(json, {file, ""});
  if (const std::string format = object.text("format"); format != kCostFormat)
    object.fail("format", fmt::format("expected \"{}\", got \"{}\"", kCostFormat, format));
  CostSource source;
  source.name = printable_name(object.text("name"));
  source.file = file;
  source.description = object.text("source");
  if (const auto ranks = object.optional_integer("ranks")) {
    if (*ranks < 1 || *ranks > std::numeric_limits<int>::max())
      object.fail("ranks", fmt::format("expected a number of ranks, got {}", *ranks));
    source.ranks = static_cast<int>(*ranks);
  }
  source.layers_per_stage = object.optional_number("layers_per_stage");
  read_stages(object, source);
  read_links(object, source);
  object.finish();
  return source;
}

CostSource read_costs(const std::string& path) {
  return parse_costs(read_file(path, kMostCostFileBytes), path);
}

std::string costs_text(const CostSource& source, const nlohmann::ordered_json& comments) {
  nlohmann::ordered_json json = {
      {"format", kCostFormat}, {"name", source.name}, {"source", source.description}};
  json.update(comments);
  if (source.ranks)
    json["ranks"] = *source.ranks;
  if (source.layers_per_stage)
    json["layers_per_stage"] = *source.layers_per_stage;
  if (source.stage_by_stage)
    for (const StageCost& stage : source.stages)
      json["stages"].push_back(stage_json(stage));
  else
    json["stage"] = stage_json(source.stages.front());
  if (source.network)
    json["network"] = network_json(*source.network);
  else
    json["link"] = link_json(source.link);
  return dump_json(json, 2) + "\n";
}

}  // namespace bubblescope

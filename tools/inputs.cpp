#include "tools/inputs.h"

#include <cstdint>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/costs/cost_file.h"
#include "tools/options/model_options.h"
#include "tools/version.h"

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;

/// FNV-1a, 64 bits: whether two results were made of the same costs.
std::string hash(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325;
  constexpr std::uint64_t kPrime = 0x100000001b3;
  for (const char c : text)
    sum = (sum ^ static_cast<unsigned char>(c)) * kPrime;
  return fmt::format("{:016x}", sum);
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

/// A model and what it runs on, or the costs by name; those by hand are all there.
Json source_json(const Scenario& scenario) {
  if (scenario.job)
    return job_json(*scenario.job);
  const std::string text = costs_text(scenario.costs, Json::object());
  Json costs = {{"name", scenario.costs.name}, {"hash", hash(text)}};
  if (scenario.costs_by_hand)
    costs.update(Json::parse(text));
  return {{"costs", costs}};
}

Json named(const std::string& subcommand) {
  return {{"format", fmt::format("bubblescope-{}/1", subcommand)}, {"version", kVersion}};
}

}  // namespace

Provenance provenance(const std::string& subcommand) {
  return std::make_shared<const Json>(named(subcommand));
}

Provenance provenance(const std::string& subcommand, const Scenario& scenario) {
  Json inputs = {{"ranks", scenario.shape.ranks},
                 {"microbatches", scenario.shape.microbatches},
                 {"chunks", or_null(scenario.shape.chunks)},
                 {"group_size", or_null(scenario.shape.group_size)},
                 {"comm", to_string(scenario.comm.comm_or_ideal())}};
  if (scenario.comm.interleaved)
    inputs["interleaved_comm"] = to_string(*scenario.comm.interleaved);
  if (scenario.comm.channels)
    inputs["channels"] = to_string(*scenario.comm.channels);
  inputs.update(source_json(scenario));
  for (const CostScale& scale : scenario.cost_options.scales)
    inputs["scale"].push_back(to_string(scale));
  const MemoryLimit limit = scenario.limit();
  if (limit.bytes)
    inputs["memory_limit_bytes"] = *limit.bytes;
  if (limit.live_activations)
    inputs["memory_limit_activations"] = *limit.live_activations;
  if (scenario.noise)
    inputs["seed"] = scenario.noise->seed;
  Json all = named(subcommand);
  all["inputs"] = std::move(inputs);
  return std::make_shared<const Json>(std::move(all));
}

}  // namespace bubblescope

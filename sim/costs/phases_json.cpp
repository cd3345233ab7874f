#include "sim/costs/phases_json.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"
#include "sim/costs/cost_model.h"

namespace bubblescope {
namespace {

/// In the order of Slowdown::Kind.
constexpr std::string_view kSlowdowns[] = {"none", "shared", "waves", "factor", "table"};

/// The index of a word; Error, with the nearest one, where it is none of `words`.
std::size_t choose(ObjectReader& object, const std::string& key,
                   std::span<const std::string_view> words) {
  const std::string word = object.text(key);
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end())
    object.fail(
        key, fmt::format("expected {}, got \"{}\"{}", fmt::join(words, ", "), word,
                         did_you_mean(word, std::vector<std::string>(words.begin(), words.end()))));
  return static_cast<std::size_t>(found - words.begin());
}

/// A number of SMs or blocks, up to `most`.
int count(ObjectReader& object, const std::string& key, int most) {
  const std::int64_t value = object.integer(key);
  if (value < 1 || value > most)
    object.fail(key, fmt::format("expected 1 to {}, got {}", most, value));
  return static_cast<int>(value);
}

double factor(ObjectReader& object) {
  const double value = object.number("factor");
  if (!(value >= 1 && value <= 1000))
    object.fail("factor",
                fmt::format("expected how much longer it takes, 1 to 1000, got {}", value));
  return value;
}

std::vector<Time> times(ObjectReader& object, const std::string& key,
                        const std::vector<double>& microseconds) {
  std::vector<Time> result;
  try {
    std::transform(microseconds.begin(), microseconds.end(), std::back_inserter(result),
                   time_from_us);
  } catch (const Error& error) {
    object.fail(key, error.what());
  }
  return result;
}

std::vector<std::pair<int, double>> read_table(ObjectReader& object, int sms) {
  auto rows = object.optional_objects("table");
  if (!rows)
    object.fail("table", "is missing");
  std::vector<std::pair<int, double>> table;
  for (ObjectReader& row : *rows) {
    const int held = count(row, "sms", sms - 1);
    if (!table.empty() && held <= table.back().first)
      row.fail("sms", "expected more than in the row before");
    table.emplace_back(held, factor(row));
    row.finish();
  }
  return table;
}

Slowdown read_slowdown(ObjectReader object, int sms) {
  using Kind = Slowdown::Kind;
  const auto kind = static_cast<Kind>(choose(object, "kind", kSlowdowns));
  for (const auto& [key, its] :
       {std::pair("blocks", Kind::Waves), {"factor", Kind::Factor}, {"table", Kind::Table}})
    if (object.has(key) && kind != its)
      object.fail(key, fmt::format("is for kind \"{}\"", kSlowdowns[static_cast<int>(its)]));
  Slowdown slowdown{.kind = kind};
  if (kind == Kind::Waves)
    slowdown.blocks = count(object, "blocks", std::numeric_limits<int>::max());
  if (kind == Kind::Factor)
    slowdown.factor = factor(object);
  if (kind == Kind::Table)
    slowdown.table = read_table(object, sms);
  object.finish();
  return slowdown;
}

/// The phases of a stage by name.
using PhaseIndex = std::unordered_map<std::string, std::size_t>;

/// The phase of I that makes the input of a W.
int find_input(ObjectReader& object, const LayerPhases& stage, const PhaseIndex& index) {
  const std::string name = object.text("after");
  const auto found = index.find(name);
  if (found == index.end() || stage.phases[found->second].of != OpKind::BackwardInput)
    object.fail("after", fmt::format("there is no phase \"{}\" of I before this one", name));
  return static_cast<int>(found->second);
}

Phase read_phase(ObjectReader& object, const LayerPhases& stage, const PhaseIndex& index) {
  static constexpr std::string_view kOps[] = {"F", "I", "W"};
  Phase phase{.name = object.text("name"),
              .of = static_cast<OpKind>(choose(object, "of", kOps)),
              .stream = static_cast<PhaseStream>(choose(object, "stream", phase_stream_names()))};
  if (index.contains(phase.name))
    object.fail("name", fmt::format("there is a phase \"{}\" already", phase.name));
  if (object.has("after")) {
    if (phase.of != OpKind::BackwardWeight)
      object.fail("after", "is for a phase of W: those of F and of I follow one another");
    phase.after = find_input(object, stage, index);
  }
  if (object.has("sent_bytes")) {
    if (phase.stream != PhaseStream::Expert)
      object.fail("sent_bytes", "is for a phase that communicates among experts");
    phase.sent = object.integer("sent_bytes");
  }
  const bool computes = phase.stream == PhaseStream::Compute;
  if (object.has(computes ? "sms" : "slowdown"))
    object.fail(computes ? "sms" : "slowdown",
                computes ? "is for a phase that communicates" : "is for a phase that computes");
  const char* contention = computes ? "slowdown" : "sms";
  if (!object.has(contention))
    return phase;
  if (stage.sms == 0)
    object.fail(contention, "needs the machine's \"sms\" in the stage");
  if (computes)
    phase.slowdown = read_slowdown(object.object("slowdown"), stage.sms);
  else
    phase.sms = count(object, "sms", stage.sms - 1);
  return phase;
}

/// Puts a phase's times where `stage` has room for them.
void read_times(ObjectReader& object, std::size_t layers, std::size_t phase, LayerPhases& stage) {
  const auto told = object.optional_numbers("elapsed_us", layers);
  if (!told)
    object.fail("elapsed_us", "is missing");
  const std::vector<Time> elapsed = times(object, "elapsed_us", *told);
  const std::vector<Time> busy =
      times(object, "busy_us", object.optional_numbers("busy_us", layers).value_or(*told));
  const std::size_t phases = stage.times.size() / layers;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (busy[layer] > elapsed[layer])
      object.fail("busy_us", fmt::format("is more than elapsed_us in layer {}", layer));
    stage.times[layer * phases + phase] = {elapsed[layer], busy[layer]};
  }
}

/// One number where all layers have it.
nlohmann::ordered_json times_json(const LayerPhases& stage, std::size_t phase,
                                  Time PhaseTime::*which) {
  std::vector<double> times;
  for (std::size_t layer = 0; layer < stage.layers(); ++layer)
    times.push_back(to_us(stage.time(layer, phase).*which));
  if (std::adjacent_find(times.begin(), times.end(), std::not_equal_to<>()) == times.end())
    return times.front();
  return times;
}

nlohmann::ordered_json slowdown_json(const Slowdown& slowdown) {
  using Kind = Slowdown::Kind;
  nlohmann::ordered_json json = {{"kind", kSlowdowns[static_cast<std::size_t>(slowdown.kind)]}};
  if (slowdown.kind == Kind::Waves)
    json["blocks"] = slowdown.blocks;
  if (slowdown.kind == Kind::Factor)
    json["factor"] = slowdown.factor;
  for (const auto& [sms, factor] : slowdown.table)
    json["table"].push_back({{"sms", sms}, {"factor", factor}});
  return json;
}

nlohmann::ordered_json phase_json(const LayerPhases& stage, std::size_t index) {
  const Phase& phase = stage.phases[index];
  nlohmann::ordered_json json = {{"name", phase.name}, {"of", std::string(1, letter(phase.of))}};
  if (phase.after != Phase::kNone)
    json["after"] = stage.phases[static_cast<std::size_t>(phase.after)].name;
  json["stream"] = phase_stream_names()[static_cast<std::size_t>(phase.stream)];
  json["elapsed_us"] = times_json(stage, index, &PhaseTime::elapsed);
  if (auto busy = times_json(stage, index, &PhaseTime::busy); busy != json["elapsed_us"])
    json["busy_us"] = std::move(busy);
  if (phase.sent > 0)
    json["sent_bytes"] = phase.sent;
  if (phase.sms > 0)
    json["sms"] = phase.sms;
  if (phase.slowdown.kind != Slowdown::Kind::None)
    json["slowdown"] = slowdown_json(phase.slowdown);
  return json;
}

}  // namespace

void write_phases(const LayerPhases& phases, nlohmann::ordered_json& stage) {
  if (phases.empty())
    return;
  stage["layers"] = phases.layers();
  if (phases.sms > 0)
    stage["sms"] = phases.sms;
  if (phases.measured_under_overlap)
    stage["measured_under_overlap"] = true;
  for (std::size_t i = 0; i < phases.phases.size(); ++i)
    stage["phases"].push_back(phase_json(phases, i));
}

LayerPhases read_phases(ObjectReader& stage, std::size_t& room) {
  constexpr int kMostLayers = 100'000;
  LayerPhases result;
  auto objects = stage.optional_objects("phases");
  for (const char* key : {"layers", "sms", "measured_under_overlap"})
    if (!objects && stage.has(key))
      stage.fail(key, "needs \"phases\" beside it");
  if (!objects)
    return result;
  const auto layers = static_cast<std::size_t>(count(stage, "layers", kMostLayers));
  const std::size_t phases = objects->size();
  if (phases > room / layers)
    stage.fail("layers", fmt::format("{} layers of {} phases: expected {} times in all stages of a "
                                     "file at most",
                                     layers, phases, kMostPhaseTimes));
  room -= layers * phases;
  result.measured_under_overlap =
      stage.has("measured_under_overlap") && stage.flag("measured_under_overlap");
  if (stage.has("sms")) {
    if (result.measured_under_overlap)
      stage.fail("sms", "what was measured under overlap is not slowed once more");
    result.sms = count(stage, "sms", std::numeric_limits<int>::max());
  }
  result.times.resize(layers * phases);
  PhaseIndex index;
  for (ObjectReader& object : *objects) {
    const std::size_t place = result.phases.size();
    read_times(object, layers, place, result);
    result.phases.push_back(read_phase(object, result, index));
    index.emplace(result.phases.back().name, place);
    object.finish();
  }
  return result;
}

}  // namespace bubblescope

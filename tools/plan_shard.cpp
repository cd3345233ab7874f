#include "tools/plan_shard.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/base/json_text.h"
#include "tools/version.h"

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "bubblescope-plan-shard/1";
constexpr std::size_t kMostBytes = std::size_t{1} << 30U;
constexpr std::size_t kRowFields = 6;

Json row_json(const PlanRow& row) {
  const PlanFigures& figures = row.figures;
  return {row.number,           figures.iteration_time.count(), figures.step_time.count(),
          figures.busy.count(), figures.bubble_fraction,        figures.peak_memory};
}

Json rows_json(const std::vector<PlanRow>& rows) {
  Json json = Json::array();
  for (const PlanRow& row : rows)
    json.push_back(row_json(row));
  return json;
}

/// One file of a shard, as it says itself.
struct Shard {
  std::string path;
  std::vector<std::string> words = {};
  std::int64_t shard = 0;  // from 1
  std::int64_t shards = 0;
  std::size_t configurations = 0;  // of the whole space
  PlanResult result = {};
};

class ShardReader {
 public:
  explicit ShardReader(const std::string& path)
      : path_(path),
        json_(parse_json(read_file(path, kMostBytes), path)),
        reader_(json_, {path, ""}) {}

  Shard read() {
    if (const std::string format = reader_.text("format"); format != kFormat)
      reader_.fail("format", fmt::format("expected {}, what plan --shard writes", kFormat));
    if (const std::string version = reader_.text("version"); version != kVersion)
      reader_.fail("version", fmt::format("is of version {}, and this is {}", version, kVersion));
    Shard shard{.path = path_, .words = reader_.words("question")};
    shard.shard = reader_.integer("shard");
    shard.shards = reader_.integer("shards");
    shard.configurations = static_cast<std::size_t>(reader_.integer("space"));
    if (shard.shard < 1 || shard.shard > shard.shards || shard.shards > kMostShards)
      reader_.fail("shard", fmt::format("there is no shard {} of {}", shard.shard, shard.shards));
    PlanCounts& counts = shard.result.counts;
    counts = {.configurations = count("configurations"),
              .simulated = count("simulated"),
              .excluded = count("excluded_by_bound"),
              .infeasible = count("infeasible")};
    if (!reader_.flag("complete") || !counts.is_complete())
      throw Error(fmt::format("{}: shard {} of {} was interrupted: run it again", path_,
                              shard.shard, shard.shards));
    shard.result.simulated = rows("rows", shard.configurations);
    if (shard.result.simulated.size() != counts.simulated)
      reader_.fail("rows", fmt::format("expected the {} rows that were simulated, got {}",
                                       counts.simulated, shard.result.simulated.size()));
    shard.result.beyond = rows("beyond", shard.configurations);
    const std::vector<PlanRow> lightest = rows("lightest", shard.configurations);
    if (!lightest.empty())
      shard.result.lightest = lightest.front();
    reader_.finish();
    return shard;
  }

 private:
  std::size_t count(const std::string& key) {
    return static_cast<std::size_t>(reader_.integer(key));
  }

  std::vector<PlanRow> rows(const std::string& key, std::size_t configurations) {
    reader_.skip(key);
    std::vector<PlanRow> result;
    for (const auto& row : json_[key]) {
      const bool is_row =
          row.is_array() && row.size() == kRowFields &&
          std::all_of(row.begin(), row.end(), [](const auto& field) { return field.is_number(); });
      if (!is_row || row[0].template get<std::size_t>() >= configurations)
        reader_.fail(key, "expected rows of a configuration and its figures");
      result.push_back(
          {row[0], PlanFigures{.iteration_time = Time(row[1].template get<Time::rep>()),
                               .step_time = Time(row[2].template get<Time::rep>()),
                               .busy = Time(row[3].template get<Time::rep>()),
                               .bubble_fraction = row[4],
                               .peak_memory = row[5]}});
    }
    return result;
  }

  std::string path_;
  nlohmann::json json_;
  ObjectReader reader_;
};

}  // namespace

std::string shard_text(const PlanCommandOptions& options, const PlanResult& result) {
  const Json json = {
      {"format", kFormat},
      {"version", kVersion},
      {"question", options.question_words()},
      {"shard", options.shard->shard + 1},
      {"shards", options.shard->shards},
      {"space", result.space.configurations.size()},
      {"configurations", result.counts.configurations},
      {"simulated", result.counts.simulated},
      {"excluded_by_bound", result.counts.excluded},
      {"infeasible", result.counts.infeasible},
      {"complete", result.counts.is_complete() && !result.is_interrupted},
      {"rows", rows_json(result.simulated)},
      {"beyond", rows_json(result.beyond)},
      {"lightest", result.lightest ? Json::array({row_json(*result.lightest)}) : Json::array()}};
  return dump_json(json) + "\n";
}

ReadShards read_shards(const std::vector<std::string>& paths) {
  std::vector<Shard> files;
  files.reserve(paths.size());
  for (const std::string& path : paths)
    files.push_back(ShardReader(path).read());
  const Shard& first = files.front();
  std::vector<const Shard*> places(static_cast<std::size_t>(first.shards));
  for (const Shard& each : files) {
    if (each.words != first.words || each.configurations != first.configurations)
      throw Error(
          fmt::format("{} and {} are shards of different questions", first.path, each.path));
    if (each.shards != first.shards)
      throw Error(fmt::format("{} is one of {} shards, and {} one of {}", first.path, first.shards,
                              each.path, each.shards));
    const Shard*& place = places[static_cast<std::size_t>(each.shard - 1)];
    if (place != nullptr)
      throw Error(fmt::format("{} and {} are both shard {} of {}", place->path, each.path,
                              each.shard, each.shards));
    place = &each;
  }
  ReadShards result{.words = first.words, .configurations = first.configurations};
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] == nullptr)
      throw Error(fmt::format("shard {} of {} is missing", i + 1, first.shards));
    result.shards.push_back(places[i]->result);
  }
  return result;
}

}  // namespace bubblescope

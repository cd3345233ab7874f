// The files of data/: readable, sourced, derived as they say, and described by their schema.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/costs/cost_file.h"
#include "tests/support/json_schema.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

json read(const std::string& path) {
  return json::parse(contents(source_file(path)));
}

json schema() {
  return read("data/schema/costs.schema.json");
}

/// What the reader has to say against a cost file.
std::string complaint(const json& costs) {
  return error_of([&] { parse_costs(costs.dump(), "mine.json"); });
}

bool schema_accepts(const json& costs) {
  return schema_faults(schema(), costs).empty();
}

/// Every file of data/costs.
std::vector<std::filesystem::path> cost_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(source_file("data/costs")))
    files.push_back(file.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// A file with every key in its place but "stages".
json full_costs() {
  json costs = read("data/costs/deepseek-v3-h800.json");
  costs["stage"]["backward_us"] = 1;
  costs["stage"]["activation_bytes"] = 2;
  costs["stage"]["activation_bytes_after_input_grad"] = 1;
  costs["stage"]["weight_bytes"] = 3;
  costs["stage"]["message_bytes"] = 4;
  costs["stage"]["grad_reduce_us"] = 5;
  costs["stage"]["optimizer_us"] = 6;
  costs["stage"]["measured_under_overlap"] = false;
  costs["stage"]["sms"] = 132;
  costs["stage"]["phases"] = json::parse(R"json([
      {"name": "mlp(B)", "of": "I", "stream": "compute", "elapsed_us": [1, 2, 3, 4], "busy_us": 1,
       "slowdown": {
    "kind" : "table", "table" : [ {"sms" : 20, "factor" : 1.3} ]}
},
      {"name": "mlp(W)", "of": "W", "after": "mlp(B)", "stream": "compute", "elapsed_us": 2,
       "slowdown": {"kind": "waves", "blocks": 132}},
      {"name": "attn(F)", "of": "F", "stream": "compute", "elapsed_us": 2,
       "slowdown": {"kind": "factor", "factor": 1.1}},
      {"name": "combine(F)", "of": "F", "stream": "expert", "elapsed_us": 2, "sms": 20,
       "sent_bytes": 4096}])json");
  costs["link"] = {{"latency_us", 1}, {"bandwidth_GBps", 50}};
  return costs;
}

/// The same with "network" instead of "link".
json networked_costs() {
  json costs = full_costs();
  costs.erase("link");
  const json link = {{"latency_us", 1}, {"bandwidth_GBps", 50}, {"shared_GBps", 60}};
  costs["network"] = {{"ranks_per_node", 8}, {"intra_node", link}, {"inter_node", link}};
  return costs;
}

/// A file with all that `path` names.
json costs_with(const std::string& path) {
  return path.starts_with("/network") ? networked_costs() : full_costs();
}

/// An object of the format: where it is in `full_costs`, and where the schema describes it.
struct Place {
  const char* in_file;
  const char* in_schema;
};
const Place kPlaces[] = {
    {"", ""},
    {"/stage", "/$defs/stage"},
    {"/stage/exposed_communication_us", "/$defs/stage/properties/exposed_communication_us"},
    {"/stage/phases/0", "/$defs/phase"},
    {"/stage/phases/1", "/$defs/phase"},
    {"/stage/phases/0/slowdown", "/$defs/phase/properties/slowdown"},
    {"/stage/phases/0/slowdown/table/0", "/$defs/slowdown_row"},
    {"/link", "/properties/link"},
    {"/network", "/properties/network"},
    {"/network/intra_node", "/$defs/network_link"},
    {"/network/inter_node", "/$defs/network_link"}};

/// What the schema says of each key of an object.
std::map<std::string, json> properties(const Place& place) {
  return schema().at(json::json_pointer(place.in_schema)).at("properties");
}

/// The literals of a C++ source that are one word each.
std::set<std::string> quoted_words(const std::string& source) {
  std::set<std::string> words;
  std::istringstream lines(source);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream parts(line);
    bool is_quoted = false;
    for (std::string part; std::getline(parts, part, '"'); is_quoted = !is_quoted)
      if (is_quoted && !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
          }))
        words.insert(part);
  }
  return words;
}

}  // namespace

TEST_CASE("Every cost file of data can be read and names itself and its source") {
  CHECK(cost_files().size() >= 13);
  for (const auto& path : cost_files()) {
    CAPTURE(path);
    CHECK(path.extension() == ".json");
    const CostSource costs = read_costs(path.string());
    CHECK(costs.name == path.stem().string());
    CHECK(costs.description.size() > 20);
    CHECK(costs.ranks);
    CHECK(schema_faults(schema(), json::parse(contents(path))) == std::vector<std::string>());
  }
}

TEST_CASE("Tables of kernels keep to their schema, and are whole grids of times") {
  const json kernels_schema = json::parse(contents(source_file("data/schema/kernels.schema.json")));
  const std::function<void(const json&)> check = [&](const json& part) {
    if (!part.is_object())
      return;
    if (part.contains("us")) {
      std::size_t times = 1;
      for (const auto& axis : part.items())
        if (axis.value().is_array() && axis.key() != "us") {
          CHECK(std::is_sorted(axis.value().begin(), axis.value().end()));
          times *= axis.value().size();
        }
      CHECK(part["us"].size() == times);
      for (const json& time : part["us"])
        CHECK(time.get<double>() > 0);
    }
    for (const json& each : part)
      check(each);
  };
  std::size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator(source_file("data/kernels"))) {
    if (file.path().extension() != ".json")
      continue;
    CAPTURE(file.path());
    CHECK(std::filesystem::file_size(file.path()) <= 64 * 1024);
    const json table = json::parse(contents(file.path()));
    CHECK(table["name"] == file.path().stem().string());
    CHECK(schema_faults(kernels_schema, table) == std::vector<std::string>());
    check(table);
    ++count;
  }
  CHECK(count == 7);
}

TEST_CASE("The schema tells of every key what it is and in which unit") {
  const std::pair<const char*, const char*> units[] = {
      {"_us", "µs"}, {"_bytes", "bytes"}, {"_bytes_after_input_grad", "bytes"}, {"GBps", "GB/s"}};
  for (const Place& place : kPlaces)
    for (const auto& [key, rule] : properties(place)) {
      CAPTURE(key);
      REQUIRE(rule.contains("description"));
      const std::string description = rule["description"];
      CHECK(description.size() > 10);
      for (const auto& [suffix, unit] : units)
        if (key.ends_with(suffix))
          CHECK(description.find(unit) != std::string::npos);
    }
}

TEST_CASE("The reader knows every key of the schema") {
  for (const Place& place : kPlaces)
    for (const auto& [key, rule] : properties(place)) {
      json costs = costs_with(place.in_file);
      costs[json::json_pointer(place.in_file)][key] = json::array();  // which no key may be
      const std::string path = std::string(place.in_file) + "/" + key;
      CAPTURE(path);
      const std::string told = complaint(costs);
      CHECK(told.starts_with("mine.json: " + path + ": "));
      CHECK(told.find("unknown key") == std::string::npos);
      CHECK_FALSE(schema_accepts(costs));
    }
}

TEST_CASE("The schema has every key that the reader asks for") {
  std::set<std::string> keys;
  std::set<std::string> values = {"F", "I", "W"};
  for (const Place& place : kPlaces)
    for (const auto& [key, rule] : properties(place)) {
      keys.insert(key);
      if (rule.contains("enum"))
        values.insert(rule["enum"].begin(), rule["enum"].end());
    }
  std::set<std::string> asked;
  for (const char* file : {"sim/costs/cost_file.cpp", "sim/costs/phases_json.cpp"})
    asked.merge(quoted_words(contents(source_file(file))));
  for (const std::string& word : asked)
    CHECK_MESSAGE((keys.contains(word) || values.contains(word)), word);
  for (const std::string& key : keys)
    CHECK_MESSAGE(asked.contains(key), key);
}

namespace {

/// Something that makes a file wrong.
struct Mutation {
  std::string place;
  std::string value;  // JSON, or "" to take the key away
};
const Mutation kMutations[] = {
    {"/format", ""},
    {"/format", "\"bubblescope-costs/2\""},
    {"/name", ""},
    {"/source", "3"},
    {"/ranks", "0"},
    {"/ranks", "1.5"},
    {"/ranks", "3000000000"},
    {"/layers_per_stage", "-1"},
    {"/stage", ""},
    {"/stage", "[]"},
    {"/stages", "[]"},
    {"/stages", "[{\"forward_us\": 1, \"input_grad_us\": 1, \"weight_grad_us\": 1}]"},
    {"/layer", "1"},
    {"/stage/forward_us", ""},
    {"/stage/forward_us", "-1"},
    {"/stage/forward_us", "\"1\""},
    {"/stage/forward_us", "null"},
    {"/stage/forward_us", "1e30"},
    {"/stage/forward_ms", "1"},
    {"/stage/weight_bytes", "0.5"},
    {"/stage/weight_bytes", "9.3e18"},
    {"/stage/exposed_communication_us", "1"},
    {"/stage/exposed_communication_us/forward", ""},
    {"/stage/exposed_communication_us/backward", "1"},
    {"/stage/layers", ""},
    {"/stage/layers", "0"},
    {"/stage/phases", ""},
    {"/stage/phases", "[]"},
    {"/stage/phases/0/of", "\"B\""},
    {"/stage/phases/0/stream", "\"comm\""},
    {"/stage/phases/0/elapsed_us", ""},
    {"/stage/phases/0/elapsed_us", "[]"},
    {"/stage/phases/0/elapsed_us", "[1, 2, 3, -4]"},
    {"/stage/phases/0/slowdown/kind", "\"wave\""},
    {"/stage/phases/1/slowdown/blocks", "0"},
    {"/stage/phases/2/slowdown/factor", "0.9"},
    {"/stage/phases/3/sms", "\"20\""},
    {"/link", "null"},
    {"/link/bandwidth_GBps", "0"},
    {"/link/bandwidth", "1"},
    {"/network", R"({"ranks_per_node": 8, "intra_node": {}, "inter_node": {}})"},
    {"/network/ranks_per_node", ""},
    {"/network/ranks_per_node", "0"},
    {"/network/ranks_per_node", "3000000000"},
    {"/network/node_of_rank", "[0, 0]"},
    {"/network/intra_node", ""},
    {"/network/inter_node", "null"},
    {"/network/inter_node/shared_GBps", "0"},
    {"/network/inter_node/bandwidth_GBps", "-1"},
    {"/network/intra_node/nodes", "1"}};

}  // namespace

TEST_CASE("What the reader refuses the schema refuses too") {
  CHECK(complaint(full_costs()) == "");
  CHECK(schema_accepts(full_costs()));
  for (const Mutation& each : kMutations) {
    CAPTURE(each.place);
    CAPTURE(each.value);
    // "/network" itself is put beside "/link"
    json costs = each.place == "/network" ? full_costs() : costs_with(each.place);
    const json::json_pointer place(each.place);
    if (each.value.empty())
      costs[place.parent_pointer()].erase(place.back());
    else
      costs[place] = json::parse(each.value);
    CHECK(complaint(costs) != "");
    CHECK_FALSE(schema_accepts(costs));
  }
}

TEST_CASE("What the reader accepts the schema accepts too") {
  json stages = full_costs();
  stages["stages"] = {stages["stage"], stages["stage"]};
  stages.erase("stage");
  json comments = full_costs();
  json networked = networked_costs();
  networked["network"].erase("ranks_per_node");
  networked["network"]["node_of_rank"] = {0, 1, 1, 0};
  for (const Place& place : kPlaces)
    (std::string(place.in_file).starts_with("/network")
         ? networked
         : comments)[json::json_pointer(place.in_file)]["_comment"] = {{"any", nullptr}};
  json rounded = full_costs();
  rounded["ranks"] = 8.0;
  json bare = full_costs();
  for (const char* key : {"ranks", "layers_per_stage", "link"})
    bare.erase(key);
  bare["stage"] = {{"forward_us", 0}, {"input_grad_us", 0}, {"weight_grad_us", 1e12}};
  for (const json& costs : {stages, comments, networked, networked_costs(), rounded, bare}) {
    CHECK(complaint(costs) == "");
    CHECK(schema_faults(schema(), costs) == std::vector<std::string>());
  }
}

TEST_CASE("Costs that are written are those that were read") {
  std::vector<json> all = {full_costs()};
  json stages = full_costs();
  stages["stages"] = {stages["stage"], stages["stage"]};
  stages.erase("stage");
  json by_phases = full_costs();
  for (const char* key :
       {"forward_us", "input_grad_us", "weight_grad_us", "backward_us", "exposed_communication_us"})
    by_phases["stage"].erase(key);
  json on_nodes = networked_costs();
  on_nodes["network"].erase("ranks_per_node");
  on_nodes["network"]["node_of_rank"] = {0, 1, 1, 0};
  all.insert(all.end(), {stages, by_phases, networked_costs(), on_nodes});
  for (const auto& path : cost_files())
    all.push_back(json::parse(contents(path)));
  for (json costs : all) {
    const json written = json::parse(
        costs_text(parse_costs(costs.dump(), "mine.json"), nlohmann::ordered_json::object()));
    for (auto each = costs.begin(); each != costs.end();)
      each = each.key().starts_with("_") ? costs.erase(each) : std::next(each);
    if (!costs.contains("link") && !costs.contains("network"))
      costs["link"] = {{"latency_us", 0}};
    for (json* stage : {costs.contains("stage") ? &costs["stage"] : &costs["stages"][0],
                        costs.contains("stages") ? &costs["stages"][1] : &costs["stage"]})
      if (stage->value("measured_under_overlap", true) == false)
        stage->erase("measured_under_overlap");  // as it is without it
    CHECK(written == costs);
  }
}

TEST_CASE("The schema checker refuses keywords that it does not know") {
  CHECK_THROWS_AS(schema_faults({{"pattern", "x"}}, "x"), std::invalid_argument);
  CHECK_THROWS_AS(schema_faults({{"patternProperties", {{"^x", true}}}}, json::object()),
                  std::invalid_argument);
  CHECK_THROWS_AS(schema_faults({{"additionalProperties", {{"type", "number"}}}}, json::object()),
                  std::invalid_argument);
}

TEST_CASE("DeepSeek-V3's costs are those of its training trace") {
  const auto file = reference("traces/deepseek-train-phases.json");
  if (file.empty())
    return;
  const json trace = json::parse(contents(file));
  const CostSource costs = read_costs(source_file("data/costs/deepseek-v3-h800.json").string());
  const StageCost& stage = costs.stages[0];
  const int layers = 4;
  CHECK(costs.layers_per_stage == layers);
  const auto busy = [&](const char* op) {
    double us = 0;
    for (const char* block : {"attn", "mlp"})
      us += trace["phases"][std::string(block) + "(" + op + ")"]["mean_busy"].get<double>();
    return time_from_us(layers * us);
  };
  CHECK(stage.forward == busy("F"));
  CHECK(stage.input_grad == busy("B"));
  CHECK(stage.weight_grad == busy("W"));
  CHECK(stage.overlapped == time_from_us(trace["span_us"]));
  // Half of the dispatch and combine kernels' time for each direction, in tenths of a millisecond.
  double tenths = 0;
  for (const char* family : {"EP dispatch", "EP combine"})
    tenths += std::round(trace["families"][family]["us"].get<double>() / 100);
  CHECK(stage.exposed_forward == time_from_us(tenths * 100 / 2));
  CHECK(stage.exposed_input_grad == stage.exposed_forward);
}

}  // namespace bubblescope

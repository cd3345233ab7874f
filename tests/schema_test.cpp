// Every JSON output of the program, held against its schema in data/schema.
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/json_schema.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kTimes = " --forward 10us --input-grad 11us --weight-grad 9us --p2p 2us";
const std::string kJob = " -p 2 -m 4" + kTimes;
const std::string kNodes =
    " --ranks-per-node 1 --bandwidth 50GB/s --inter-bandwidth 10GB/s --nic 10GB/s --message 64KiB";
const std::string kSizes = " --activation 1MiB --weights 1MiB";
const std::string kUpdate = " --grad-reduce 5us --optimizer 3us";
const std::string kNoise = " --jitter 5% --samples 10";
const std::string kMachine = " --model qwen3-235b-a22b --hardware h800 --parallel tp=1,ep=8,dp=8";
const std::string kModelJob = " -p 4 -m 8" + kMachine;

const std::vector<std::string> kResults = {
    "analyze",  "calibrate", "check",     "compare",       "costs-report", "explain",
    "profile",  "program",   "reproduce", "accuracy",      "schedules",    "simulate",
    "timeline", "validate",  "models",    "hardware-list", "plan",         "hardware-fit"};

json schema(const std::string& name) {
  return json::parse(contents(source_file("data/schema/" + name + ".schema.json")));
}

/// What each of several forms that a result may have, has against it.
std::string faults_by_form(const json& whole, const json& document) {
  std::string text;
  for (const json& form : whole.value("oneOf", json::array())) {
    json one = whole;
    one.erase("oneOf");
    one.update(form);
    text += fmt::format("{}: {}\n", form.dump(), fmt::join(schema_faults(one, document), "; "));
  }
  return text;
}

void check_valid(const json& whole, const json& document) {
  INFO(faults_by_form(whole, document));
  const std::vector<std::string> faults = schema_faults(whole, document);
  CHECK_MESSAGE(faults.empty(), fmt::format("{}", fmt::join(faults, "\n")));
}

/// What the program prints, in the repository unless told; a check may fail.
json printed(const std::string& line, ProcessOptions options = {.folder = source_file("")}) {
  const ProcessResult result = run(line, options);
  REQUIRE_MESSAGE(result.exit_code <= kCheckFailed, line << "\n" << result.err);
  return json::parse(result.out);
}

void check_outputs(const std::string& name, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    CAPTURE(line);
    check_valid(schema(name), printed(line + " --format json"));
  }
}

/// Points and regions of a sweep have the axes' values under keys that the axes tell.
bool is_open(const std::string& name, const std::string& path) {
  return name == "compare" && (path == "/$defs/point" || path == "/$defs/region");
}

/// Objects are closed, and each property tells what it is, and its unit.
void check_told(const std::string& name, const json& rule, const std::string& path) {
  CAPTURE(path);
  if (rule.is_object() && rule.contains("properties")) {
    CHECK(rule.contains("additionalProperties") != is_open(name, path));
    for (const auto& [key, property] : rule["properties"].items()) {
      CAPTURE(key);
      REQUIRE(property.contains("description"));
      const std::string description = property["description"];
      CHECK(description.ends_with('.'));
      if (key.ends_with("_ns"))
        CHECK(has(description, "in ns"));
      if (key.ends_with("_bytes"))
        CHECK(has(description, "in bytes"));
    }
    for (const json& key : rule.value("required", json::array()))
      CHECK_MESSAGE(rule["properties"].contains(key.get<std::string>()), key);
  }
  for (const auto& [key, part] : rule.items())
    if (part.is_structured())
      check_told(name, part, path + "/" + key);
}

/// What both describe, but for `others`, they describe in the same words.
void check_alike(const json& one, const json& other, const std::set<std::string>& others) {
  for (const auto& [key, rule] : one.items())
    if (other.contains(key) && !others.contains(key))
      CHECK_MESSAGE(rule == other[key], key);
}

}  // namespace

TEST_CASE("Schemas of results are closed and tell of each key what it is and in which unit") {
  for (const std::string& name : kResults) {
    CAPTURE(name);
    check_told(name, schema(name), "");
  }
}

TEST_CASE("A figure that several results have is described alike") {
  const json simulate = schema("simulate");
  const json compare = schema("compare");
  const json explain = schema("explain");
  const json timeline = schema("timeline");
  const std::set<std::string> others = {"format", "noise", "per_rank"};
  check_alike(simulate["properties"], compare["$defs"]["report"]["properties"], {});
  check_alike(simulate["properties"], explain["$defs"]["explanation"]["properties"], others);
  check_alike(simulate["properties"], timeline["properties"], others);
  check_alike(simulate["$defs"], compare["$defs"], {});
  check_alike(simulate["$defs"]["rank"]["properties"], timeline["$defs"]["rank"]["properties"], {});
  for (const char* name : {"compare", "costs-report", "explain", "timeline", "validate"})
    CHECK_MESSAGE(schema(name)["$defs"]["inputs"] == simulate["$defs"]["inputs"], name);
}

TEST_CASE("A property that a schema lacks is a fault of the result that has it") {
  const json whole = schema("simulate");
  const json document =
      printed("simulate 1f1b --format json" + kJob + kNodes + kNoise + kSizes + kUpdate);
  for (const char* place : {"/properties", "/$defs/rank/properties", "/$defs/noise/properties",
                            "/$defs/link/properties", "/$defs/percentiles/properties"}) {
    const json::json_pointer at(place);
    for (const auto& [key, rule] : whole[at].items()) {
      if (key == "memory_limit_bytes")
        continue;
      json part = whole;
      part[at].erase(key);
      CHECK_MESSAGE(!schema_faults(part, document).empty(), place << "/" << key);
    }
  }
}

TEST_CASE("What simulate prints is as its schema says") {
  check_outputs(
      "simulate",
      {"simulate 1f1b" + kJob, "simulate 1f1b --comm stream" + kJob,
       "simulate 1f1b --comm torch --channels rank" + kJob,
       "simulate dualpipe --comm batched" + kJob, "simulate interleaved-1f1b --group-size 2" + kJob,
       "simulate dualpipe" + kModelJob, "simulate 1f1b" + kNoise + kModelJob,
       "simulate 1f1b" + kNoise + kJob, "simulate 1f1b --memory-limit 1" + kJob,
       "simulate 1f1b --memory-limit 1GB" + kSizes + kJob, "simulate zb-auto" + kJob,
       "simulate v-auto --objective span --memory-limit 3" + kJob,
       "simulate 1f1b --scale forward=0.9" + kNodes + kUpdate + kJob,
       "simulate 1f1b -p 2 -m 4 --costs deepseek-v3-h800",
       "simulate --program data/programs/mended.csv" + kTimes});
}

TEST_CASE("What compare prints is as its schema says") {
  check_outputs("compare", {"compare --schedules all" + kJob,
                            "compare --schedules 1f1b,zb-v --comm stream" + kNodes + kJob,
                            "compare --schedules 1f1b,zb-h1 --memory-limit 1" + kJob,
                            "compare --schedules 1f1b,zb-auto" + kNoise + kSizes + kUpdate + kJob,
                            "compare --schedules 1f1b,dualpipe --memory-limit 80GB" + kModelJob});
}

TEST_CASE("What compare --vary prints is as its schema says, keys of axes apart") {
  json closed = schema("compare");
  for (const char* open : {"point", "region"})
    closed["$defs"][open]["additionalProperties"] = false;
  const std::vector<std::string> commands = {
      "compare --schedules 1f1b,gpipe --vary bandwidth=1GB/s:4GB/s:3 --message 1KB" + kJob,
      "compare --schedules 1f1b,zb-h1 --memory-limit 1 --vary microbatches=2:8:3 -p 4" + kTimes,
      "compare --schedules 1f1b,dualpipe -p 2 -m 3 --forward 10us --input-grad 11us "
      "--vary p2p=0:4us:3 --vary weight-grad=1us:9us:3"};
  for (const std::string& line : commands) {
    CAPTURE(line);
    json sweep = printed(line + " --format json");
    check_valid(schema("compare"), sweep);
    for (const char* list : {"points", "regions"})
      for (json& each : sweep[list])
        for (const json& axis : sweep["axes"])
          each.erase(axis["key"].get<std::string>());
    check_valid(closed, sweep);
  }
}

TEST_CASE("What plan prints is as its schema says") {
  const std::string job =
      "plan --model qwen3-30b-a3b --hardware h800 --gpus 16 --global-batch 32 --tp 1,2 --cp 1 ";
  check_outputs("plan", {job + "--schedules 1f1b,dualpipe --pp 2,4",
                         job + "--schedules vpp --ep 8 --tokens 1T --price 2.5 --top 2"});
}

TEST_CASE("What explain prints is as its schema says") {
  check_outputs("explain",
                {"explain 1f1b" + kJob, "explain dualpipe --comm batched" + kJob,
                 "explain zb-auto --comm stream" + kJob, "explain 1f1b" + kNodes + kUpdate + kJob,
                 "explain dualpipe" + kModelJob, "explain 1f1b", "explain dualpipe --comm stream"});
}

TEST_CASE("What costs prints is as its schema says") {
  check_outputs("costs-report",
                {"costs -p 2" + kTimes, "costs -p 4" + kMachine, "costs -p 2" + kNodes + kTimes,
                 "costs --costs deepseek-v3-h800", "costs -v 2 --costs zero-bubble-1.5b-m24"});
  const TemporaryFolder folder;
  for (const std::string& line : {"costs -p 2 --save costs.json" + kTimes + kNodes,
                                  "costs -p 4 --save costs.json" + kMachine}) {
    CAPTURE(line);
    REQUIRE(run(line, {.folder = folder.path()}).exit_code == 0);
    check_valid(schema("costs"), json::parse(contents(folder / "costs.json")));
  }
}

TEST_CASE("What schedules, order, check and reproduce print is as their schemas say") {
  check_outputs("schedules", {"schedules"});
  check_outputs("models", {"models"});
  check_outputs("hardware-list", {"hardware"});
  check_outputs("check", {"check data/programs/mended.csv", "check data/programs/deadlock.csv"});
  check_outputs("reproduce", {"reproduce megatron-interleaved", "reproduce dualpipe-readme"});
  const TemporaryFolder folder;
  json rows = json::parse(contents(source_file("data/published/measured.json")));
  rows.erase(rows.begin() + 12, rows.end());
  std::ofstream(folder / "rows.json") << rows;
  const std::string rows_file = (folder / "rows.json").string();
  check_outputs("accuracy", {"reproduce " + rows_file});
  for (const char* line :
       {"order 1f1b -p 2 -m 4 --to json", "order zb-v -p 2 -m 4 --to json --comm stream",
        "order dualpipe -p 2 -m 4 --to json --comm batched",
        "order 1f1b -p 2 -m 4 --to json --comm torch"}) {
    CAPTURE(line);
    check_valid(schema("program"), printed(line));
  }
}

TEST_CASE("What validate prints is as its schema says") {
  const std::string real = " --real-time --repeats 2 --tolerance 100";
  check_outputs("validate", {"validate 1f1b" + kJob, "validate 1f1b zb-h1 --comm stream" + kJob,
                             "validate 1f1b" + kModelJob, "validate 1f1b zb-h1" + real + kJob,
                             "validate 1f1b --workload tensors" + real + kJob});
}

TEST_CASE("What replay prints is as the schema of timelines says") {
  check_outputs("timeline", {"replay 1f1b" + kJob, "replay dualpipe --comm stream" + kJob,
                             "replay 1f1b" + kModelJob, "replay zb-auto" + kSizes + kJob,
                             "replay 1f1b --real-time --repeats 1" + kJob,
                             "replay 1f1b --real-time --workload tensors" + kJob});
}

TEST_CASE("What calibrate prints and writes is as the schemas say") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  REQUIRE(run("replay 1f1b --real-time --repeats 3 -o measured.json" + kJob, there).exit_code == 0);
  check_valid(schema("timeline"), json::parse(contents(folder / "measured.json")));
  check_valid(schema("calibrate"),
              printed("calibrate measured.json --format json -o costs.json", there));
  check_valid(schema("costs"), json::parse(contents(folder / "costs.json")));
  for (const char* work : {" --action 1us --repeats 1", " --workload tensors --repeats 2"})
    check_valid(schema("profile"),
                printed("calibrate -p 2 --backend host --real-time" + std::string(work), there));
}

TEST_CASE("What analyze prints of traces is as its schema says") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  REQUIRE(run("simulate dualpipe --trace one.json" + kJob, there).exit_code == 0);
  REQUIRE(run("simulate 1f1b --trace-flavour kineto --trace some --comm stream" + kModelJob, there)
              .exit_code == 0);
  REQUIRE(run("replay 1f1b --real-time --trace measured.json" + kJob, there).exit_code == 0);
  for (const char* traces : {"one.json", "some", "some --window rank", "measured.json"}) {
    CAPTURE(traces);
    check_valid(schema("analyze"), printed("analyze --format json " + std::string(traces), there));
  }
}

}  // namespace bubblescope

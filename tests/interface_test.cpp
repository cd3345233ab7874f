// The surface that scripts rely on, as a list that changes only knowingly: options of every
// subcommand, exit codes, and the keys of every JSON document.
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/golden.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

/// Adds "per_rank[].busy_ns" for each key, wherever it stands below `value`.
void add_keys(const json& value, const std::string& path, std::set<std::string>& keys) {
  if (value.is_array())
    for (const json& element : value)
      add_keys(element, path + "[]", keys);
  if (!value.is_object())
    return;
  for (const auto& [key, member] : value.items()) {
    const std::string name = path.empty() ? key : path + "." + key;
    keys.insert(name);
    add_keys(member, name, keys);
  }
}

std::string section(const std::string& title, const json& document) {
  std::set<std::string> keys;
  add_keys(document, "", keys);
  REQUIRE(!keys.empty());
  return fmt::format("{}\n  {}\n", title, fmt::join(keys, "\n  "));
}

const std::string kShape = " -p 2 -m 4";
const std::string kTimes = " --forward 10us --input-grad 11us --weight-grad 9us --p2p 2us";
const std::string kJob = kShape + kTimes;
const std::string kMachine = " --model qwen3-235b-a22b --hardware h800 --parallel tp=1,ep=8,dp=8";
const std::string kModelJob = " -p 4 -m 8" + kMachine;

}  // namespace

TEST_CASE("Subcommands and their options are those of the golden list") {
  std::string text;
  std::vector<std::string> subcommands = {""};
  bool is_below = false;
  for (const std::string& line : lines(output("--help"))) {
    is_below = (is_below && !line.empty()) || line == "Subcommands:";
    if (is_below && line != "Subcommands:")
      subcommands.push_back(words(line).front());
  }
  for (const std::string& name : subcommands) {
    text += fmt::format("bubblescope {}\n", name);
    for (const std::string& line : lines(output(name.empty() ? "--help" : name + " --help")))
      if (line.starts_with("  -"))
        text += fmt::format("  {}\n", words(line).front());
  }
  check_golden("interface_options.txt", text);
}

TEST_CASE("Exit codes are those of the golden list") {
  const std::vector<std::string> commands = {
      "--version",
      "--help",
      "simulate 1f1b" + kJob,
      "check data/programs/mended.csv",
      "reproduce megatron-interleaved",
      "replay 1f1b --backend host" + kJob,
      "validate 1f1b --backend host" + kJob,
      "",
      "nosuch",
      "simulate",
      "simulate nosuch" + kJob,
      "simulate 1f1b --nosuch 1" + kJob,
      "simulate 1f1b --format nosuch" + kJob,
      "simulate 1f1b -p 0 -m 4" + kTimes,
      "reproduce nosuch",
      "check data/programs/deadlock.csv",
      "check nosuch.csv",
      "simulate dualpipe -p 3 -m 6" + kTimes,
      "simulate --program data/programs/deadlock.csv" + kTimes,
      "simulate 1f1b -o /nosuch/file" + kJob,
      "costs -p 2 --costs nosuch.json",
      "analyze nosuch.json",
      "replay 1f1b --backend cuda" + kJob};
  const ProcessOptions options = {.environment = {{"BUBBLESCOPE_CUDA_MODULE", "/nosuch/module.so"}},
                                  .folder = source_file("")};
  std::string text;
  for (const std::string& line : commands)
    text += fmt::format("{}  bubblescope {}\n", run(line, options).exit_code, line);
  check_golden("interface_exit_codes.txt", text);
}

TEST_CASE("Keys of JSON documents are those of the golden list") {
  const std::vector<std::pair<std::string, std::string>> printed = {
      {"schedules", "schedules --format json"},
      {"order --to json", "order 1f1b --to json" + kShape},
      {"order --to json, with batches", "order 1f1b --to json --comm batched" + kShape},
      {"check", "check data/programs/mended.csv --format json"},
      {"simulate", "simulate 1f1b --format json" + kJob},
      {"simulate, with a model", "simulate dualpipe --format json" + kModelJob},
      {"simulate, with noise", "simulate 1f1b --jitter 5% --format json" + kJob},
      {"compare", "compare --schedules 1f1b,zb-v,dualpipe --format json" + kJob},
      {"compare, with a model", "compare --schedules 1f1b,dualpipe --format json" + kModelJob},
      {"compare, with noise", "compare --schedules 1f1b --jitter 5% --format json" + kJob},
      {"compare --vary",
       "compare --schedules 1f1b,gpipe --vary bandwidth=1GB/s:4GB/s:3 --message 1KB --format json" +
           kJob},
      {"plan", "plan --model llama-3.1-8b --hardware h800 --gpus 8 --global-batch 8 --format json"},
      {"explain", "explain 1f1b --format json" + kJob},
      {"explain, with a model", "explain dualpipe --format json" + kModelJob},
      {"explain, without a shape", "explain 1f1b --format json"},
      {"costs", "costs --format json -p 2" + kTimes},
      {"costs, with a model", "costs --format json -p 4" + kMachine},
      {"reproduce", "reproduce megatron-interleaved --format json"},
      {"validate", "validate 1f1b zb-h1 --backend host --format json" + kJob}};
  std::string text;
  for (const auto& [title, line] : printed)
    text += section(title, json::parse(output(line, {.folder = source_file("")})));

  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  const std::vector<std::pair<std::string, std::string>> written = {
      {"replay -o measured.json", "replay 1f1b --backend host -o measured.json" + kJob},
      {"calibrate -o costs.json", "calibrate measured.json -o costs.json"},
      {"costs --save costs.json", "costs -p 2 --save costs.json" + kTimes},
      {"costs --save costs.json (with a model)", "costs -p 4 --save costs.json" + kMachine},
      {"calibrate -o profile.json (of a device)",
       "calibrate -p 2 --backend host --real-time --action 1us --repeats 1 -o profile.json"},
      {"simulate --trace trace.json", "simulate 1f1b --trace trace.json" + kJob}};
  for (const auto& [title, line] : written) {
    REQUIRE(run(line, there).exit_code == 0);
    text += section(title, json::parse(contents(folder / words(title).at(2))));
  }
  text += section("analyze", json::parse(output("analyze trace.json --format json", there)));
  text += section("calibrate", json::parse(output("calibrate measured.json --format json", there)));
  check_golden("interface_json_keys.txt", text);
}

}  // namespace bubblescope

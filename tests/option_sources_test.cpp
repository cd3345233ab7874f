// Where options come from, and which say nothing.
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

TEST_CASE("each way to give costs changes what it should") {
  const auto step = [](const std::string& line) {
    return output_json(line + kCosts)["step_time_ns"].get<std::int64_t>();
  };
  const std::string two = "simulate 1f1b -p 2 -m 1 ";
  CHECK(step("simulate 1f1b -p 1 -m 1") == 30'000);
  CHECK(step("simulate 1f1b -p 1 -m 1 --backward 5us") == 15'000);
  CHECK(step("simulate zb-h2 -p 1 -m 1 --backward 5us") == 30'000);
  CHECK(step(two) == 60'000);
  CHECK(step(two + "--p2p 1us") == 62'000);
  CHECK(step(two + "--bandwidth 1GB/s --message 1MB") == 2'060'000);
  CHECK(step(two + "--bandwidth 1GB/s --message 1MB --p2p 0.5µs") == 2'061'000);
  CHECK(step(two + "--cost-per stage") == 60'000);
  const std::string pairs = "simulate dualpipe -p 4 -m 8 --overlapped 20us --overlap ";
  CHECK(step(pairs + "given") == step(pairs + "auto"));
  CHECK(step(pairs + "given") < step(pairs + "sum"));
  CHECK(step(pairs + "sum") == step("simulate dualpipe -p 4 -m 8"));
  const auto traced = [](const std::string& overlap) {
    return output_json("simulate dualpipe -p 4 -m 8 --costs deepseek-v3-h800 --overlap " +
                       overlap)["step_time_ns"]
        .get<std::int64_t>();
  };
  CHECK(traced("phases") < traced("given"));
  CHECK(traced("phases") > traced("given") * 99 / 100);
}

TEST_CASE("a flag beats the environment, and the environment beats the file") {
  const TemporaryFolder folder;
  folder.write("options.toml",
               "[simulate]\nranks = 2\nmicrobatches = 3\nforward = \"1us\"\n"
               "input-grad = \"1us\"\nweight-grad = \"1us\"\n");
  const auto ranks = [&](const std::string& line, const std::string& environment) {
    ProcessOptions options = {.folder = folder.path()};
    if (!environment.empty())
      options.environment["BUBBLESCOPE_RANKS"] = environment;
    return json::parse(output(line + " --format json", options))["ranks"].get<int>();
  };
  CHECK(ranks("--config options.toml simulate 1f1b", "") == 2);
  CHECK(ranks("--config options.toml simulate 1f1b", "3") == 3);
  CHECK(ranks("--config options.toml simulate 1f1b -p 4", "3") == 4);
  CHECK(ranks("--config options.toml simulate 1f1b -p 4", "") == 4);
  CHECK(ranks("simulate 1f1b -m 8" + kCosts, "5") == 5);
  CHECK(ranks("simulate 1f1b --config options.toml", "") == 2);
}

TEST_CASE("a bad option in the environment or in the file is told like one on the command line") {
  const TemporaryFolder folder;
  folder.write("typo.toml", "[simulate]\nrnks = 2\n");
  folder.write("broken.toml", "[[[\n");
  const std::string line = "simulate 1f1b -m 8" + kCosts;
  check_failure({line, {"-p/--ranks", "'none' (from BUBBLESCOPE_RANKS)"}}, kUsage, folder,
                {.environment = {{"BUBBLESCOPE_RANKS", "none"}}});
  folder.write("ranks.toml", "[simulate]\nranks = \"none\"\n");
  check_failure({line + " --config ranks.toml", {"-p/--ranks", "'none' (from ranks.toml)"}}, kUsage,
                folder);
  for (const std::string mine : {" -p none", " -pnone", " --ranks none", " --ranks=none"}) {
    const auto err = run(line + mine, {.environment = {{"BUBBLESCOPE_RANKS", "none"}}}).err;
    CHECK(err.find("from BUBBLESCOPE_RANKS") == err.npos);
  }
  const ProcessResult empty = run_shell("bubblescope " + line + " -p ''");
  CHECK(empty.exit_code == kUsage);
  CHECK(has(empty.err, "--ranks: expected a value"));
  for (const std::string file : {"typo.toml", "broken.toml", "none.toml"}) {
    const ProcessResult result = run("--config " + file + " " + kGood, {.folder = folder.path()});
    CHECK((result.exit_code == kUsage || result.exit_code == kBadInput));
    CHECK(result.out == "");
    CHECK(is_one_message(result.err));
    CHECK_MESSAGE(has(result.err, file), result.err);
  }
}

TEST_CASE("Each option that an error names is told with where it comes from") {
  const TemporaryFolder folder;
  folder.write("empty.toml", "[simulate]\n");
  folder.write("zero.toml", "[simulate]\nzero = 2\n");
  const std::string needs_ranks = "simulate 1f1b -m 8" + kCosts + " --config empty.toml";
  check_failure({needs_ranks, {"-p/--ranks is required\n"}}, kUsage, folder);
  check_failure(
      {kGood, {"--forward and --model do not go together", " (--model from BUBBLESCOPE_MODEL)\n"}},
      kUsage, folder, {.environment = {{"BUBBLESCOPE_MODEL", "deepseek-v3"}}});
  const std::string astray = "--zero needs --model";
  check_failure({kGood + " --zero 2", {astray + "\n"}}, kUsage, folder);
  check_failure({kGood, {astray + " (from BUBBLESCOPE_ZERO)\n"}}, kUsage, folder,
                {.environment = {{"BUBBLESCOPE_ZERO", "2"}}});
  check_failure({kGood + " --config zero.toml", {astray + " (from zero.toml)\n"}}, kUsage, folder);
}

TEST_CASE("What is set for one subcommand is no matter of another") {
  const auto runs = [](const std::string& line, const char* variable, const char* value) {
    return run(line, {.environment = {{variable, value}}}).exit_code;
  };
  CHECK(runs(kCompare + kCosts + " --schedules vpp", "BUBBLESCOPE_CHUNKS", "2,4") == 0);
  CHECK(runs(kGood, "BUBBLESCOPE_CHUNKS", "1,2") == kUsage);
  CHECK(runs("simulate 1f1b -m 1" + kCosts, "BUBBLESCOPE_RANKS", "70000") == 0);
  CHECK(runs("schedules", "BUBBLESCOPE_NOISE_FACTORS", "/nowhere") == 0);
  CHECK(runs("schedules", "BUBBLESCOPE_RANKS", "none") == 0);
  const TemporaryFolder folder;
  folder.write("both.toml", "[compare]\nforward = \"5\"\n[simulate]\npp = 4\n");
  CHECK(run("schedules --config both.toml", {.folder = folder.path()}).exit_code == 0);
  const std::string figures =
      output("simulate 1f1b -m 4 --config both.toml --format json" + kCosts,
             {.environment = {{"BUBBLESCOPE_RANKS", "2"}}, .folder = folder.path()});
  CHECK(json::parse(figures)["ranks"] == 2);
}

TEST_CASE("Help is given whatever else is wrong, and for a subcommand that there is") {
  const std::string compare = output("compare --help");
  CHECK(output("help compare") == compare);
  CHECK(output("-q help compare") == compare);
  CHECK(output("compare --forward 5 --help") == compare);
  CHECK(output("help compare", {.environment = {{"BUBBLESCOPE_RANKS", "bad"}}}) == compare);
  CHECK(output("help") == output("--help"));
  const ProcessResult unknown = run("help comparee");
  CHECK(unknown.exit_code == kUsage);
  CHECK(has(unknown.err, "did you mean 'compare'?"));
}

TEST_CASE("BUBBLESCOPE_CONFIG names the file of --config") {
  const TemporaryFolder folder;
  folder.write("ranks.toml", "[simulate]\nranks = 2\n");
  folder.write("other.toml", "[simulate]\nranks = 4\n");
  const std::string line = "simulate 1f1b -m 8 --format json" + kCosts;
  const ProcessOptions options = {.environment = {{"BUBBLESCOPE_CONFIG", "ranks.toml"}},
                                  .folder = folder.path()};
  CHECK(json::parse(output(line, options))["ranks"] == 2);
  CHECK(json::parse(output(line + " --config other.toml", options))["ranks"] == 4);
}

TEST_CASE("What would change nothing is noted, and the figures stand") {
  struct Case {
    std::string line;
    std::string says;
    std::map<std::string, std::string> environment = {};
  };
  const std::string once = " --schedules 1f1b";
  const Case cases[] = {
      {kGood + " --reduce overlapped", "--reduce and --optimizer-sync are for costs with"},
      {kGood + " --optimizer-sync none", "--reduce and --optimizer-sync are for costs with"},
      {kGood + " --ranks-per-node 2", "--ranks-per-node changes nothing by itself"},
      {kGood + " --ranks-per-node 4 --inter-p2p 1us", "the 4 ranks fit on one node of 4"},
      {"simulate 1f1b -p 4 -m 8 --model gpt3-175b --hardware h800 --nic 20GB/s",
       "the 4 ranks fit on one node of 8"},
      {kCompare + kCosts + once + " --group-size 4", "--group-size is for interleaved schedules"},
      {"order 1f1b -p 4 -m 8 --overlap sum", "1f1b has an order of its own"},
      {"order 1f1b -p 4 -m 8 --cost-per rank", "1f1b has an order of its own"},
      {kGood + " --objective step", "--objective and --effort are for automatic"},
      {kCompare + kCosts + once + " --effort 2", "--objective and --effort are for automatic"},
      {kGood, "BUBBLESCOPE_CHUNK in the environment is no option", {{"BUBBLESCOPE_CHUNK", "4"}}},
      {kGood, "did you mean 'BUBBLESCOPE_CHUNKS'?", {{"BUBBLESCOPE_CHUNK", "4"}}}};
  for (const Case& each : cases) {
    const ProcessResult result = run(each.line, {.environment = each.environment});
    CAPTURE(result.err);
    CHECK(result.exit_code == 0);
    CHECK_MESSAGE(has(result.err, "bubblescope: note: "), each.line);
    CHECK_MESSAGE(has(result.err, each.says), each.line);
    CHECK(run("-q " + each.line, {.environment = each.environment}).err == "");
  }
  for (const std::string& line :
       {kGood + " --reduce overlapped --grad-reduce 1us", kGood + " --optimizer 1us --reduce after",
        kGood + " --ranks-per-node 2 --inter-p2p 1us",
        kGood + " --ranks-per-node 4 --message 1KB --nvlink 1GB/s",
        kCompare + kCosts + " --schedules interleaved-1f1b --group-size 4",
        kCompare + kCosts + " --schedules zb-auto --effort 2"})
    CHECK_MESSAGE(run(line).err == "", line);
  CHECK(run(kGood, {.environment = {{"BUBBLESCOPE_CUDA_MODULE", "none.so"}}}).err == "");
}

TEST_CASE("Times by hand that no run can have are noted on stderr") {
  const std::pair<const char*, const char*> odd[] = {
      {" --overlapped 9us", "--overlapped is shorter than F alone"},
      {" --overlapped 15us", "--overlapped is shorter than B alone"},
      {" --backward 9us", "--backward is shorter than --input-grad"}};
  for (const auto& [options, told] : odd) {
    const ProcessResult result = run("simulate dualpipe -p 4 -m 8" + kCosts + options);
    CHECK(result.exit_code == 0);
    CHECK_MESSAGE(has(result.err, told), result.err);
  }
  CHECK(run("simulate dualpipe -p 4 -m 8" + kCosts + " --overlapped 20us").err == "");
}

TEST_CASE("costs made for another number of ranks are told on stderr, unless quiet") {
  const std::string line = kSimulate + " --costs deepseek-v3-h800";
  const ProcessResult noted = run(line);
  CHECK(noted.exit_code == 0);
  CHECK(has(noted.err, "deepseek-v3-h800"));
  CHECK(has(noted.err, "16 ranks"));
  for (const std::string quiet : {" -q", " --quiet"}) {
    const ProcessResult silent = run(line + quiet);
    CHECK(silent.err == "");
    CHECK(silent.out == noted.out);
  }
  CHECK(run(line, {.environment = {{"BUBBLESCOPE_QUIET", "1"}}}).err == "");
  CHECK(run("simulate 1f1b -p 16 -m 32 --costs deepseek-v3-h800").err == "");
  CHECK(run(kGood).err == "");
}

TEST_CASE("a cost file is taken by its path as by its name") {
  const TemporaryFolder folder;
  folder.write("deepseek.json", contents(source_file("data/costs/deepseek-v3-h800.json")));
  const std::string line = "simulate dualpipe -p 16 -m 32 --costs ";
  CHECK(output(line + "deepseek.json", {.folder = folder.path()}) ==
        output(line + "deepseek-v3-h800"));
}

}  // namespace
}  // namespace bubblescope

// Schedules side by side, and those that are searched for.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/process.h"

namespace bubblescope {
namespace {

using nlohmann::json;

TEST_CASE("A layout by load that saves more than 2 % is told by compare, explain and plan") {
  const std::string job = " -p 8 -m 64 --model llama-3.1-8b --hardware h100-sxm";
  const auto notes = [](const std::string& line) { return run(line).err; };
  const auto time = [](const std::string& line) {
    return output_json("simulate 1f1b" + line)["iteration_time_ns"].get<double>();
  };
  const std::string told = notes("explain 1f1b" + job);
  const std::string kBefore = "layers laid by their load take ";
  const std::size_t at = told.find(kBefore);
  REQUIRE_MESSAGE(at != std::string::npos, told);
  const std::size_t quote = told.find('\'');
  const std::string layout = told.substr(quote + 1, told.rfind('\'') - quote - 1);
  const double saving = 1 - time(job + " --layout " + layout) / time(job);
  CHECK(std::stod(told.substr(at + kBefore.size())) == doctest::Approx(100 * saving).epsilon(0.03));
  CHECK(saving > 0.02);
  const std::string kCompared = " takes 18 % less time than the best here: --layout balanced";
  CHECK(has(notes("compare" + job + " --schedules 1f1b"),
            "with layers laid by their load 1f1b" + kCompared));
  for (const char* more : {" --layout balanced", " --scale forward=0.9", " -q"}) {
    CAPTURE(more);
    CHECK_FALSE(has(notes("compare" + job + " --schedules 1f1b" + more), "by their load"));
    CHECK_FALSE(has(notes("explain 1f1b" + job + more), "by their load"));
  }
  const std::string plan =
      "plan --model llama-3.1-8b --hardware h100-sxm --gpus 8 --tp 1 --cp 1 "
      "--pp 8 --global-batch 64 --schedules 1f1b --recompute none";
  CHECK(has(output(plan), "with layers laid by their load the best takes 18 % less time"));
  CHECK_FALSE(has(output(plan + " --layout balanced"), "by their load"));
}

TEST_CASE("results of compare are those of simulate, best first") {
  const json many = output_json(kCompare + kCosts + " --p2p 3us");
  std::int64_t before = 0;
  for (const json& each : many["results"]) {
    CHECK(each["step_time_ns"] >= before);
    before = each["step_time_ns"];
    const json alone = output_json("simulate " + each["schedule"].get<std::string>() +
                                   " -p 4 -m 8 --p2p 3us" + kCosts);
    CHECK(each == without_provenance(alone));
  }
}

TEST_CASE("A program stands in compare as what it is by name, channels and all") {
  const TemporaryFolder folder;
  const std::string csv = (folder / "mine.csv").string();
  run("order interleaved-1f1b -p 4 -m 8 --to torch-comms -o " + csv);
  const std::string costs = " --forward 10us --input-grad 10us --weight-grad 10us --p2p 5us";
  for (const std::string channels : {"rank", "pair", "direction"}) {
    const json compared =
        output_json("compare --program " + csv +
                    " --schedules interleaved-1f1b --comm torch --channels " + channels + costs);
    REQUIRE(compared["results"].size() == 2);
    CHECK(compared["results"][0]["step_time_ns"] == compared["results"][1]["step_time_ns"]);
    CHECK(compared["results"][0]["channels"] == channels);
    const json alone = output_json("simulate --program " + csv + " --channels " + channels + costs);
    CHECK(alone["step_time_ns"] == compared["results"][0]["step_time_ns"]);
  }
}

TEST_CASE("a file may list schedules, and costs stage by stage skip what has other stages") {
  const TemporaryFolder folder;
  folder.write("list.toml", "[compare]\nschedules = [\"1f1b\", \"zb-h1\"]\n");
  const std::string table =
      output("--config list.toml compare -p 4 -m 8" + kCosts, {.folder = folder.path()});
  CHECK(has(table, "zb-h1"));
  CHECK(!has(table, "gpipe"));
  const std::string stage = R"({"forward_us": 10, "input_grad_us": 10, "weight_grad_us": 10})";
  folder.write("two.json", R"({"format": "bubblescope-costs/1", "name": "two", "source": "test",)"
                           R"( "ranks": 2, "stages": [)" +
                               stage + ", " + stage + "]}");
  const json compared =
      json::parse(output("compare -p 2 -m 8 --costs two.json --schedules 1f1b,zb-v --format json",
                         {.folder = folder.path()}));
  REQUIRE(compared["results"].size() == 1);
  CHECK(compared["skipped"][0]["schedule"] == "zb-v");
  CHECK(has(compared["skipped"][0]["reason"], "for 2 stages, and its pipe has 4"));
}

TEST_CASE("--memory-limit marks what does not fit and decides the verdict") {
  const std::string line = kCompare + kCosts +
                           " --activation 1GiB --weights 1GiB "
                           "--schedules gpipe,1f1b,zb-h1,zb-h1-paper,zb-h2,dualpipe";
  const auto fitting = [&](const std::string& limit) {
    std::string names;
    const json all = output_json(line + limit);
    for (const json& each : all["results"])
      if (each["fits"] != false)
        names += each["schedule"].get<std::string>() + " ";
    return names + "| " + all["verdict"].get<std::string>().substr(0, 5);
  };
  CHECK(fitting("") == "dualpipe zb-h1 zb-h1-paper zb-h2 1f1b gpipe | dualp");
  CHECK(fitting(" --memory-limit 4") == "zb-h1 zb-h1-paper 1f1b | zb-h1");
  CHECK(fitting(" --memory-limit 5GiB") == "zb-h1 zb-h1-paper 1f1b | zb-h1");
  CHECK(fitting(" --memory-limit 7GiB") == "dualpipe zb-h1 zb-h1-paper 1f1b | dualp");
  CHECK(fitting(" --memory-limit 1B") == "| none ");
  const std::string table = output(line + " --memory-limit 4");
  CHECK(has(table, "fits"));
  CHECK(line_of(table, "1f1b").ends_with(" yes"));
  CHECK(line_of(table, "gpipe").ends_with(" no"));
}

TEST_CASE("compare tells which schedules the shape excludes, and why") {
  const std::string table = output("compare -p 5 -m 6" + kCosts);
  CHECK(has(table, "dualpipe: two pipes meet in the middle, so p must be even"));
  CHECK(has(table, "skipped zb-h2: "));
  const ProcessResult none = run("compare -p 5 -m 6 --schedules dualpipe,zb-h2" + kCosts);
  CHECK(none.exit_code == kBadInput);
}

TEST_CASE("A list of chunks gives a schedule that takes any once for each, and others once") {
  const json all = output_json("compare -p 4 -m 8 -v 1,2,4 --schedules 1f1b,vpp,zb-v" + kCosts);
  std::multiset<std::pair<std::string, int>> rows;
  for (const json& each : all["results"])
    rows.emplace(each["schedule"], each["chunks"]);
  const std::multiset<std::pair<std::string, int>> expected = {{"1f1b", 1},
                                                               {"interleaved-1f1b", 1},
                                                               {"interleaved-1f1b", 2},
                                                               {"interleaved-1f1b", 4},
                                                               {"zb-v", 2}};
  CHECK(rows == expected);
  CHECK(has(run("compare -p 4 -m 8 -v 2,2" + kCosts).err, "-v/--chunks: 2 is given twice"));
  CHECK(has(run("compare -p 4 -m 8 -v 2,,4" + kCosts).err, "-v/--chunks: expected no empty value"));
}

TEST_CASE("A verdict tells schedules of one name apart by their chunks") {
  const std::string verdict =
      output_json("compare -p 4 -m 8 -v 2,4 --schedules vpp" + kCosts)["verdict"];
  CHECK(has(verdict, "interleaved-1f1b v=4, "));
  CHECK(has(verdict, "less time than interleaved-1f1b v=2"));
}

TEST_CASE("Families and frameworks select schedules, and names of other programs are known") {
  const auto names = [](const std::string& words) {
    std::set<std::string> found;
    const json all = output_json("compare -p 4 -m 8 --schedules " + words + kCosts);
    for (const json& each : all["results"])
      found.insert(each["schedule"]);
    return found;
  };
  CHECK(names("dualpipe") == std::set<std::string>{"dualpipe"});  // a name goes first
  CHECK(names("megatron") ==
        std::set<std::string>{"1f1b", "interleaved-1f1b", "interleaved-1f1b-overlap"});
  CHECK(names("flow") == std::set<std::string>{"chimera", "hanayo"});
  CHECK(names("ScheduleInterleaved1F1B,vpp,ZBVZeroBubble,DualPipeV") ==
        std::set<std::string>{"interleaved-1f1b-torch", "interleaved-1f1b", "zb-v", "dualpipev"});
}

TEST_CASE("a group size below p, above m or with a bad remainder is refused with the nearest") {
  const ProcessResult small = run("simulate interleaved-1f1b -p 4 -m 8 --group-size 3" + kCosts);
  CHECK(small.exit_code == kBadInput);
  CHECK(has(small.err, "p=4, m=8, v=2, group size 4"));
  const ProcessResult large = run("simulate interleaved-1f1b -p 4 -m 8 --group-size 9" + kCosts);
  CHECK(large.exit_code == kBadInput);
  CHECK(has(large.err, "more micro-batches than the step"));
  CHECK(has(large.err, "p=4, m=8, v=2, group size 8"));
  CHECK(run("simulate interleaved-1f1b -p 4 -m 8 --group-size 8" + kCosts).exit_code == 0);
  const ProcessResult rest = run("simulate interleaved-1f1b -p 4 -m 11 --group-size 8" + kCosts);
  CHECK(rest.exit_code == kBadInput);
  CHECK(has(rest.err, "m=12"));
  CHECK(run("simulate interleaved-1f1b -p 4 -m 12 --group-size 8" + kCosts).exit_code == 0);
  CHECK(run("simulate 1f1b -p 4 -m 8 --group-size 4" + kCosts).exit_code == kBadInput);
  CHECK(run("simulate interleaved-1f1b -p 4 -m 8 --group-size 0" + kCosts).exit_code == kUsage);
}

TEST_CASE("automatic schedules stay within the memory limit and tell their lower bound") {
  for (const int limit : {2, 4, 6}) {
    const json figures = output_json("simulate v-auto -p 4 -m 8 --p2p 1us --memory-limit " +
                                     std::to_string(limit) + kCosts);
    CHECK(figures["peak_live_activations"] <= limit);
    CHECK(figures["fits"] == true);
    CHECK(figures["objective"] == "step");
    CHECK(figures["objective_ns"] == figures["step_time_ns"]);
    CHECK(figures["objective_ns"] >= figures["lower_bound_ns"]);
    std::int64_t bound = 0;
    for (const char* kind : {"work", "drain", "critical_path", "memory"})
      bound =
          std::max(bound, figures["lower_bound_" + std::string(kind) + "_ns"].get<std::int64_t>());
    CHECK(figures["lower_bound_ns"] == bound);
  }
  const json span = output_json("simulate zb-auto -p 4 -m 8 --objective span" + kCosts);
  CHECK(span["objective"] == "span");
  CHECK(span["objective_ns"] <= span["step_time_ns"]);
  // A rank's 14 GiB of weights leave room for (20 − 14) / 3 activations.
  const json sized = output_json(
      "simulate zb-auto -p 4 -m 8 --activation 3GiB --weights 14GiB --memory-limit 20GiB" + kCosts);
  CHECK(sized["peak_live_activations"] == 2);
  CHECK(output_json("simulate 1f1b -p 4 -m 8 --memory-limit 3" + kCosts)["fits"] == false);
  const std::string table = output("simulate zb-auto -p 4 -m 8 --memory-limit 4" + kCosts);
  CHECK(has(table, "lower bound"));
  CHECK(has(table, "fits"));
  CHECK(has(output("compare -p 4 -m 8 --schedules v-auto,1f1b" + kCosts), "searched v-auto: "));
}

TEST_CASE(
    "an automatic schedule that memory or costs do not allow is refused with the least limit") {
  const ProcessResult tight = run("simulate v-auto -p 4 -m 8 --memory-limit 1" + kCosts);
  CHECK(tight.exit_code == kBadInput);
  CHECK_MESSAGE(has(tight.err, "2"), tight.err);
  const json compared = output_json("compare -p 4 -m 8 --memory-limit 1" + kCosts);
  bool told = false;
  for (const json& skipped : compared["skipped"])
    told = told || (skipped["schedule"] == "v-auto" && has(skipped["reason"], "the least is 2"));
  CHECK(told);
  CHECK(run("order zb-auto -p 4 -m 8").exit_code == kUsage);
  CHECK(run("simulate zb-auto -p 4 -m 8 --objective speed" + kCosts).exit_code == kUsage);
  CHECK(run("simulate zb-auto -p 4 -m 8 --effort 0" + kCosts).exit_code == kUsage);
  CHECK(run("simulate 1f1b -p 4 -m 8 --memory-limit 20GiB" + kCosts).exit_code == kUsage);
  CHECK(lines(output("order v-auto -p 4 -m 8" + kCosts)).size() == 4);
}

TEST_CASE("zb-auto is no worse than a schedule that mixes full backwards with split ones") {
  for (const char* backward : {"14us", "16us", "18us"}) {
    const std::string costs = kCosts + " --p2p 1us --backward " + backward;
    CHECK(output_json("simulate zb-auto -p 4 -m 8" + costs)["step_time_ns"] <=
          output_json("simulate zb-h1 -p 4 -m 8" + costs)["step_time_ns"]);
  }
}

}  // namespace
}  // namespace bubblescope

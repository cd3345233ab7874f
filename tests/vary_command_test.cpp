// compare --vary as scripts see it: held against single comparisons, and what it refuses.
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/effort.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kShape = "compare -p 8 -m 32";
const std::string kCosts = " --forward 12ms --input-grad 13ms --weight-grad 9ms";
const std::string kFour = " --schedules zb-h2,zb-v,dualpipe,1f1b";

json swept(const std::string& words) {
  return json::parse(output(kShape + words + " --format json"));
}

/// What the words are refused with, as a fault of the command line.
std::string refusal(const std::string& words) {
  const ProcessResult result = run(words);
  CHECK(result.exit_code == kUsage);
  CHECK(result.out.empty());
  return result.err;
}

}  // namespace

TEST_CASE("Where another schedule takes over comparisons on both sides say so") {
  const json sweep = swept(kCosts + kFour + " --vary p2p=0:5ms");
  REQUIRE(sweep["regions"].size() == 2);
  CHECK(sweep["regions_are_complete"] == true);
  const std::int64_t at = sweep["regions"][1]["from"];
  const auto best = [&](std::int64_t p2p) {
    const json single = swept(kCosts + kFour + " --p2p " + std::to_string(p2p) + "ns");
    return single["results"][0]["schedule"];
  };
  CHECK(best(at - 200) == sweep["regions"][0]["best"]);
  CHECK(best(at + 200) == sweep["regions"][1]["best"]);
  CHECK(best(at - 200) != best(at + 200));
}

TEST_CASE("Every point of a sweep is what a comparison there gives") {
  const std::string file = " --costs deepseek-v3-h800";
  const struct {
    std::string costs, vary, option, key;
  } cases[] = {
      {kCosts, "p2p=1us:3us:3", "--p2p 2us", "p2p_ns"},
      {" --forward 12ms --input-grad 13ms", "weight-grad=1ms:9ms:3", "--weight-grad 5ms",
       "weight_grad_ns"},
      {" --input-grad 13ms --weight-grad 9ms --p2p 1ms", "forward=1ms:100ms:3:log",
       "--forward 10ms", "forward_ns"},
      {kCosts + " --message 64MiB", "bandwidth=1GB/s:3GB/s:3", "--bandwidth 2GB/s",
       "bandwidth_bytes_per_second"},
      {kCosts + " --bandwidth 10GB/s", "message=1MiB:3MiB:3", "--message 2MiB", "message_bytes"},
      {kCosts, "overlapped=20ms:40ms:3", "--overlapped 30ms", "overlapped_ns"},
      {kCosts, "backward=20ms:40ms:3", "--backward 30ms", "backward_ns"},
      {kCosts + " --comm batched", "p2p=1us:3us:3", "--p2p 2us", "p2p_ns"}};
  for (const auto& each : cases) {
    CAPTURE(each.vary);
    const json point = swept(each.costs + kFour + " --vary " + each.vary)["points"][1];
    const json single = swept(each.costs + kFour + " " + each.option);
    CHECK(point[each.key].is_number());
    REQUIRE(point["results"].size() == single["results"].size());
    for (const json& result : single["results"])
      for (const json& run : point["results"])
        if (run["schedule"] == result["schedule"])
          CHECK(run["time_ns"] == result["step_time_ns"]);
    CHECK(point["best"] == single["results"][0]["schedule"]);
  }
}

TEST_CASE("Few points tell the same regions as many") {
  const struct {
    std::string costs, vary;
  } cases[] = {{kCosts, "p2p=0:5ms"},
               {kCosts + " --comm stream", "p2p=0:5ms"},
               {" --input-grad 13ms --weight-grad 9ms --p2p 300us", "forward=1ms:40ms"},
               {" --forward 12ms --input-grad 13ms --p2p 1ms", "weight-grad=0:30ms"}};
  std::size_t switches = 0;
  for (const auto& each : cases) {
    CAPTURE(each.costs);
    CAPTURE(each.vary);
    const json few = swept(each.costs + " --vary " + each.vary + ":3")["regions"];
    const json many =
        swept(each.costs + " --vary " + each.vary + (kSanitized ? ":40" : ":150"))["regions"];
    REQUIRE(few.size() == many.size());
    switches += few.size() - 1;
    for (std::size_t i = 0; i < few.size(); ++i) {
      CHECK(few[i]["best"] == many[i]["best"]);
      CHECK(few[i]["from"].get<double>() ==
            doctest::Approx(many[i]["from"].get<double>()).epsilon(1e-4));
    }
  }
  CHECK(switches >= 6);
}

TEST_CASE("A cost of a file is replaced by the one that is varied") {
  const std::string file = "compare -p 8 -m 24 --costs zero-bubble-1.5b-m24 --schedules 1f1b,zb-v ";
  const auto point = [&](const std::string& vary) {
    return json::parse(output(file + "--vary " + vary + " --format json"))["points"][0]["results"];
  };
  const json plain = json::parse(output(file + "--format json"))["results"];
  for (const char* same : {"p2p=601us:1ms", "forward=18522us:20ms", "input-grad=18086us:20ms",
                           "weight-grad=9337us:20ms"})
    for (const json& run : point(same))
      for (const json& result : plain)
        if (run["schedule"] == result["schedule"])
          CHECK(run["time_ns"] == result["step_time_ns"]);
  CHECK(point("p2p=602us:1ms")[0]["time_ns"] != point("p2p=601us:1ms")[0]["time_ns"]);
  CHECK(has(refusal(file + "--vary message=0:1MiB"), "links of costs 'zero-bubble-1.5b-m24' have"));
  CHECK(has(refusal(file + "--vary bandwidth=1GB/s:2GB/s"), "have no size; vary message too"));
  CHECK(run(file + "--vary bandwidth=1GB/s:2GB/s:2 --vary message=0:1MiB:2").exit_code == 0);
  CHECK(has(refusal("compare -p 16 -m 32 --costs deepseek-v3-h800 --overlap phases "
                    "--vary forward=1ms:2ms"),
            "follow from phases"));
}

TEST_CASE("Micro-batches are varied in steps of the ranks and those that cannot run are left out") {
  const std::string words = "compare -p 4 --vary m=4:16 --schedules 1f1b,dualpipe,chimera" + kCosts;
  const json sweep = json::parse(output(words + " --format json"));
  CHECK(sweep["axes"][0]["values"] == json({4, 8, 12, 16}));
  CHECK(sweep["points"][0]["microbatches"] == 4);
  CHECK(sweep["points"][0]["results"][1]["time_ns"].is_null());  // dualpipe needs m ≥ 2p
  CHECK(sweep["points"][1]["results"][1]["time_ns"].is_number());
  CHECK(sweep["setting"] == "4 ranks, ideal communication");
  const json other = json::parse(
      output("compare -p 4 --vary m=4:7 --schedules 1f1b,dualpipe" + kCosts + " --format json"));
  CHECK(other["skipped"][0]["schedule"] == "dualpipe");
  CHECK(other["schedules"] == json({"1f1b"}));
  CHECK(run("compare -p 4 --vary m=4:7 --schedules dualpipe" + kCosts).exit_code == kBadInput);
  CHECK(has(refusal("compare -p 4 -m 8 --vary m=4:7" + kCosts), "by -m/--microbatches too"));
  CHECK(json::parse(
            output("compare -p 16 --model deepseek-v3 --hardware h800 --parallel ep=64 "
                   "--vary microbatches=32:64 --schedules 1f1b,zb-h1 --format json"))["points"]
            .size() == 3);
}

TEST_CASE("Automatic schedules are searched for at every point where they are named") {
  const std::string words = " --forward 4ms --input-grad 5ms --weight-grad 3ms --vary p2p=0:1ms:3";
  const std::string shape = "compare -p 4 -m 8";
  CHECK(has(output(shape + words), "skipped zb-auto: it would be searched for at every point"));
  const json sweep = json::parse(output(shape + words + " --schedules zb-auto,1f1b --format json"));
  CHECK(sweep["regions_are_complete"] == false);
  const json single = json::parse(
      output(shape +
             " --forward 4ms --input-grad 5ms --weight-grad 3ms --p2p 500us --schedules zb-auto "
             "--format json"));
  CHECK(sweep["points"][1]["results"][0]["time_ns"] == single["results"][0]["step_time_ns"]);
}

TEST_CASE("Memory limits keep schedules from winning a sweep") {
  const std::string words = kShape + kCosts + kFour + " --vary p2p=0:5ms:3";
  CHECK(has(output(words + " --memory-limit 9"), "verdict: dualpipe wins for all p2p"));
  CHECK(has(output(words + " --memory-limit 2"), "verdict: none fits for all p2p"));
}

TEST_CASE("What --vary does not understand is refused with its place") {
  const std::string good = kShape + kCosts + kFour;
  const auto said = [&](const std::string& vary) { return refusal(good + " --vary " + vary); };
  CHECK(has(said("p2q=0:1ms"), "--vary: there is no cost 'p2q'; did you mean 'p2p'?"));
  CHECK(has(said("p2p"), "--vary: expected NAME=FROM:TO"));
  CHECK(has(said("p2p=1ms"), "--vary: expected NAME=FROM:TO"));
  CHECK(has(said("p2p=0:1ms:2:log:3"), "--vary: expected NAME=FROM:TO"));
  CHECK(has(said("p2p=0:1"), "--vary: p2p: expected a time with its unit"));
  CHECK(has(said("p2p=1ms:1ms"), "--vary: p2p: '1ms' is not less than '1ms'"));
  CHECK(has(said("p2p=0:1ms:1"), "--vary: p2p: expected a whole number from 2"));
  CHECK(has(said("p2p=0:1ms:5:lag"), "expected log|linear, got 'lag'; did you mean 'log'?"));
  CHECK(has(said("p2p=0:1ms:5:log"), "a log scale cannot begin at 0"));
  CHECK(has(said("bandwidth=0:1GB/s"), "--vary: bandwidth: expected a rate above zero"));
  CHECK(has(said("forward=1ms:2ms"), "--vary forward: it is given by --forward too"));
  CHECK(has(said("p2p=0:1ms --vary p2p=0:2ms"), "p2p is varied twice"));
  CHECK(has(said("p2p=0:1ms --vary message=0:1MiB --vary backward=0:1ms"), "one cost or two"));
  CHECK(has(said("p2p=0:1ms:900 --vary backward=0:1ms:900"), "810000 points, at most 10000"));
  CHECK(has(said("overlapped=1ms:2ms --overlap sum"), "a pair lasts F + B"));
  CHECK(has(refusal(good + " --svg /tmp/x.svg"), "--svg needs --vary"));
  CHECK(has(refusal("compare -p 16 -m 32 --model deepseek-v3 --hardware h800 --parallel ep=64 "
                    "--vary p2p=0:1ms"),
            "costs from a model follow from its hardware"));
  CHECK(run(good + " --vary p2p=0:1ms:log").exit_code == kUsage);
  CHECK(run(good + " --vary p2p=1us:1ms:log").exit_code == 0);
}

TEST_CASE("A sweep gives the same bytes and its picture is a whole file") {
  const std::string words = kShape + kCosts + kFour + " --vary p2p=0:5ms:5";
  CHECK(output(words) == output(words));
  const auto path = std::filesystem::temp_directory_path() /
                    ("bubblescope-sweep-" + std::to_string(getpid()) + ".svg");
  output(words + " --svg " + path.string());
  const std::string picture = contents(path);
  std::filesystem::remove(path);
  CHECK(picture.starts_with("<svg "));
  CHECK(picture.ends_with("</svg>\n"));
  CHECK(run(words + " --svg /nowhere/x.svg").exit_code == kBadInput);
  const ProcessResult csv = run(words + " --format csv");
  CHECK(lines(csv.out).size() == 1 + 5 * 4);
}

}  // namespace bubblescope

// --scale: a part of the costs, taken so many times.
#include "sim/costs/scale.h"

#include <cstdint>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "tests/support/command.h"
#include "tests/support/command_line.h"

namespace bubblescope {
namespace {

std::int64_t step(const std::string& line) {
  return output_json(line)["step_time_ns"].get<std::int64_t>();
}

TEST_CASE("Costs by hand that are scaled are those of the product") {
  const std::string shape = "simulate zb-h1 -p 4 -m 8 --comm stream ";
  const std::string links = " --bandwidth 1GB/s --message 1MB --p2p 40us";
  const std::string once = "--forward 1ms --input-grad 2ms --weight-grad 3ms" + links;
  struct Case {
    const char* scale;
    const char* product;
  };
  const Case cases[] = {
      {"forward=2", "--forward 2ms --input-grad 2ms --weight-grad 3ms"},
      {"input-grad=0.5", "--forward 1ms --input-grad 1ms --weight-grad 3ms"},
      {"weight-grad=0.5", "--forward 1ms --input-grad 2ms --weight-grad 1.5ms"},
      {"backward=1.5", "--forward 1ms --input-grad 3ms --weight-grad 4.5ms"},
      {"forward=2,input-grad=0.5", "--forward 2ms --input-grad 1ms --weight-grad 3ms"}};
  for (const Case& each : cases) {
    CAPTURE(each.scale);
    CHECK(step(shape + once + " --scale " + each.scale) == step(shape + each.product + links));
  }
  const std::string ops = shape + "--forward 1ms --input-grad 2ms --weight-grad 3ms ";
  CHECK(step(shape + once + " --scale p2p=3") ==
        step(ops + "--bandwidth 1GB/s --message 1MB --p2p 120us"));
  CHECK(step(shape + once + " --scale bandwidth=0.5") ==
        step(ops + "--bandwidth 0.5GB/s --message 1MB --p2p 40us"));
  CHECK(step(shape + once + " --scale message=2") ==
        step(ops + "--bandwidth 1GB/s --message 2MB --p2p 40us"));
}

TEST_CASE("A rank that is scaled is a straggler, on both pipes too") {
  for (const std::string schedule : {"1f1b", "interleaved-1f1b", "dualpipe", "zb-v"})
    for (const std::string rank : {"0", "2"}) {
      CAPTURE(schedule);
      const std::string line =
          "simulate " + schedule + " -p 4 -m 8 --forward 4us --input-grad 4us --weight-grad 4us ";
      const auto straggler =
          output_json(line + "--samples 1 --straggler " + rank + "=1.5")["noise"]["step_time_ns"];
      CHECK(step(line + "--scale rank:" + rank + "=1.5") == straggler["p50"].get<std::int64_t>());
    }
}

TEST_CASE("All stages scaled by themselves are all costs scaled") {
  const std::string line =
      "simulate interleaved-1f1b -p 2 -m 4 --forward 4us --input-grad 4us --weight-grad 4us";
  CHECK(step(line + " --scale stage:0=2,stage:1=2,stage:2=2,stage:3=2") ==
        step(line + " --scale forward=2,backward=2"));
}

TEST_CASE("Phases are scaled by name, and only where all that they make up follows") {
  const std::string line = "simulate dualpipe -p 16 -m 40 --costs deepseek-v3-h800 ";
  CHECK(step(line + "--overlap phases --scale phase:*dispatch*=0.5") <
        step(line + "--overlap phases"));
  CHECK(step(line + "--overlap phases --scale phase:*=1") == step(line + "--overlap phases"));
  for (const std::string scale : {"phase:*=0.5", "forward=0.5"}) {
    const ProcessResult mixed = run(line + "--scale " + scale);
    CHECK(mixed.exit_code == 0);
    CHECK_MESSAGE(has(mixed.err, "--scale leaves F&B pairs as long as the costs say"), mixed.err);
  }
  CHECK(has(run(line + "--overlap phases --scale phase:nobody=2").err,
            "there is nothing that phase:nobody=2 could scale\n  phases: combine(B), attn(F)"));
}

TEST_CASE("What --scale does not understand is refused by name") {
  const auto told = [](const std::string& text) {
    try {
      parse_scale(text);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(has(told("foward=2"), "there is no cost 'foward'; did you mean 'forward'?"));
  for (const char* text : {"forward", "forward=", "forward=0", "forward=-1", "forward=1e9",
                           "forward=2x", "forward=nan"})
    CHECK_MESSAGE(has(told(text), "expected WHAT=FACTOR"), text);
  CHECK(has(told("stage:x=2"), "expected a number in 'stage:x'"));
  CHECK(has(told("rank=2"), "there is no cost 'rank'; did you mean 'rank:N'?"));
  CHECK(told("phase:*=2") == "");
  CHECK(has(run("simulate 1f1b -p 2 -m 4" + kCosts + " --scale rank:7=2").err,
            "it has nothing that rank:7=2 could scale"));
  for (const char* nothing : {"p2p=2", "bandwidth=2", "nic=2", "nvlink=2", "message=2"})
    CHECK(has(run("simulate 1f1b -p 2 -m 4" + kCosts + " --scale " + nothing).err,
              "there is nothing that"));
  CHECK(run("simulate 1f1b -p 2 -m 4" + kCosts +
            " --scale forward=1000,forward=1000,forward=1000,"
            "forward=1000,forward=1000")
            .exit_code == kBadInput);
  const nlohmann::json some =
      output_json("compare -p 2 -m 4 --schedules 1f1b,interleaved-1f1b --scale stage:3=2" + kCosts);
  CHECK(some["results"].size() == 1);
  CHECK(some["skipped"][0]["reason"] == "it has nothing that stage:3=2 could scale");
}

}  // namespace
}  // namespace bubblescope

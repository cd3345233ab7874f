// The way of --backend cuda from the command line to its report, on the test double of the CUDA
// runtime: order, data and faults; its times say nothing.
#include <chrono>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kTimed = " --forward 400us --input-grad 400us --weight-grad 200us --p2p 20us";
const std::string kTensors =
    " --workload tensors --tokens 16 --hidden 16 --inner 32 --blocks 4 --backend cuda";

ProcessOptions on_double(const TemporaryFolder& folder) {
  return {.environment = {{"BUBBLESCOPE_CUDA_MODULE", BUBBLESCOPE_CUDA_DOUBLE}},
          .folder = folder.path()};
}

TEST_CASE("calibrated, timed schedules are validated on a GPU, as a graph and by streams") {
  const TemporaryFolder folder;
  for (const std::string launch : {"graph", "streams"}) {
    CAPTURE(launch);
    CHECK(run("calibrate --backend cuda -p 2 --repeats 2 -o profile.json --launch " + launch,
              on_double(folder))
              .exit_code == 0);
    const ProcessResult result =
        run("validate 1f1b zb-h1 dualpipe --profile profile.json -p 2 -m 4 --repeats 2 "
            "--tolerance 1000000 --comm stream --format json" +
                kTimed,
            on_double(folder));
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 0);
    const json report = json::parse(result.out);
    REQUIRE(report["results"].size() == 3);
    for (const json& each : report["results"]) {
      CHECK(each["backend"] == "cuda");
      CHECK(each["measured_step_ns"] > 0);
      CHECK(each["predicted_step_ns"] > 0);
      CHECK(each["machine"]["launch"].is_string());
      CHECK(each["step_times_ns"].size() == 2);
    }
  }
}

TEST_CASE("tensors on a GPU have the gradients of an unpipelined run, by any schedule's order") {
  const TemporaryFolder folder;
  REQUIRE(
      run("calibrate -p 2 --repeats 1 -o profile.json" + kTensors, on_double(folder)).exit_code ==
      0);
  const json profile = json::parse(contents(folder / "profile.json"));
  CHECK(profile["stages"].size() == 3);  // of 4, 2 and 1 blocks
  const ProcessResult result =
      run("validate gpipe zb-h2 zb-v dualpipev --profile profile.json -p 2 -m 4 --repeats 1 "
          "--tolerance 1000000 --format json",
          on_double(folder));
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  const json report = json::parse(result.out);
  for (const json& each : report["results"])
    CHECK(each["parity"]["holds"] == true);
  json other = profile;
  other["machine"]["partitions"] = "8 SMs for each rank";
  folder.write("other.json", other.dump());
  const ProcessResult refused =
      run("validate gpipe --profile other.json -p 2 -m 4", on_double(folder));
  CHECK(refused.exit_code == 3);
  CHECK(has(refused.err, "8 SMs for each rank then, no partitions of the SMs now"));
}

TEST_CASE("a hang, a failure and a lack of memory on a GPU end with exit code 4, in time") {
  const TemporaryFolder folder;
  const auto begin = std::chrono::steady_clock::now();
  const ProcessResult hang =
      run("replay 1f1b -p 2 -m 4 --backend cuda --inject hang:1:1F2 --timeout 500ms "
          "--trace partial.json" +
              kTimed,
          on_double(folder));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(10'500));
  CHECK(hang.exit_code == 4);
  CHECK(has(hang.err, "rank 1: 1F2 has begun and not ended"));
  CHECK(json::parse(contents(folder / "partial.json"))["otherData"].contains("fault"));
  const ProcessResult full =
      run("replay 1f1b -p 2 -m 1000 --backend cuda --launch streams --inject hang:1:1F0 "
          "--timeout 500ms" +
              kTimed,
          on_double(folder));  // behind it a stream has no room for all that is launched
  CAPTURE(full.err);
  CHECK(full.exit_code == 4);
  CHECK(has(full.err, "rank 1: 1F0 has begun and not ended"));
  const ProcessResult fail =
      run("replay 1f1b -p 2 -m 4 --backend cuda --inject fail:1:1F2 --trace failed.json" + kTimed,
          on_double(folder));
  CHECK(fail.exit_code == 4);
  CHECK(has(fail.err, "1F2"));
  const json trace = json::parse(contents(folder / "failed.json"));
  CHECK(has(trace["otherData"]["fault"].get<std::string>(), "1F2"));
  const ProcessResult memory =
      run("replay 1f1b -p 2 -m 64 --backend cuda --workload tensors --tokens 8192 --hidden 65536 "
          "--inner 65536" +
              kTimed,
          on_double(folder));
  CHECK(memory.exit_code == 4);
  CHECK(has(memory.err, "memory"));
}

}  // namespace
}  // namespace bubblescope

// Calibration over processes: the double's messages have a latency and a bandwidth to be found.
#include <cmath>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/nccl_double/cluster_job.h"
#include "tests/support/command.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr double kLatencyNs = 3e6;
constexpr double kBytesPerSecond = 1e9;

/// What a job writes to a file, once all its processes have ended well.
json run_to_file(const TemporaryFolder& folder, int processes, const std::string& line) {
  const std::string file = "out.json";
  const std::vector<ProcessResult> results =
      run_job({.processes = processes,
               .line = line + " -o " + file,
               .environment = {{"BUBBLESCOPE_DOUBLE_LATENCY", "3000000"},
                               {"BUBBLESCOPE_DOUBLE_BANDWIDTH", "1000000000"}},
               .folder = folder.path()},
              std::chrono::minutes(2));
  for (const ProcessResult& each : results) {
    CAPTURE(each.err);
    REQUIRE(each.exit_code == 0);
  }
  return json::parse(contents(folder / file));
}

TEST_CASE("links and all-to-alls are measured over processes, and messages predicted by them") {
  const TemporaryFolder folder;
  const json profile =
      run_to_file(folder, 4, "calibrate -p 2 --backend nccl --repeats 1 --action 1ms");
  const json& links = profile["links"];
  CHECK(links["node_of_rank"] == json::array({0, 0}));  // one host
  CHECK(links["replicas"] == 2);
  CHECK_FALSE(links.contains("across"));
  for (const char* which : {"same_node", "all_to_all"}) {
    CAPTURE(links[which].dump());
    const double latency_ns = links[which]["latency_ns"];
    const double bytes_per_second = links[which]["bytes_per_second"];
    const double error = links[which]["error"];
    for (const json& sample : links[which]["samples"]) {
      const double bytes = sample["bytes"];
      const double time_ns = sample["time_ns"];
      // Busy threads only add.
      CHECK(time_ns > 0.8 * (kLatencyNs + bytes / kBytesPerSecond * 1e9));
      const double fitted_ns = latency_ns + bytes / bytes_per_second * 1e9;
      CHECK(std::abs(fitted_ns - time_ns) <= (error + 1e-3) * time_ns);
    }
    CHECK(links[which]["samples"].size() >= 4);
    const json& longest = links[which]["samples"].back();
    CHECK(longest["bytes"] == 64 << 20);
    CHECK(longest["time_ns"] < 20 * 67'000'000);  // of which sanitizers have taken six times
  }
  folder.write("profile.json", profile.dump());
  const json report = run_to_file(
      folder, 4,
      "validate 1f1b -p 2 -m 2 --comm stream --forward 5ms --input-grad 5ms --weight-grad 5ms "
      "--message 16MiB --profile profile.json --repeats 1 --tolerance 1000000 --format json");
  // F, message, F, B, message, B on the way that a step goes at least.
  CHECK(report["predicted_step_ns"] > 2 * (16'777'216 + kLatencyNs * 0.8) + 30e6);
  CHECK(report["measured_step_ns"] > 2 * 16'777'216 + 30e6);
  CHECK(report["clock_uncertainty_ns"] > 0);
  // What the profile tells is not told by options too, and is for as many ranks.
  const auto complaint = [&](const std::string& more) {
    return run("validate 1f1b -m 4 --forward 1ms --input-grad 1ms --weight-grad 1ms --profile "
               "profile.json " +
                   more,
               {.environment = double_environment(1), .folder = folder.path()})
        .err;
  };
  CHECK(has(complaint("-p 2 --p2p 1us"), "--p2p: the profile says how long messages take"));
  CHECK(has(complaint("-p 2 --ranks-per-node 2"), "the profile says how long messages take"));
  CHECK(has(complaint("-p 4"), "the profile was measured with 2 ranks, and the schedule has 4"));
}

TEST_CASE("contention of messages with GEMMs is measured for tensors, at the limit that is given") {
  const TemporaryFolder folder;
  const json profile = run_to_file(
      folder, 2,
      "calibrate -p 2 --backend nccl --repeats 1 --workload tensors --tokens 8 --hidden 8 "
      "--inner 8 --blocks 1 --max-ctas 4");
  REQUIRE(profile["contention"].size() == 1);
  CHECK(profile["contention"][0]["max_ctas"] == 4);
  CHECK(profile["contention"][0]["slowdown"] >= 1);
  CHECK(profile["machine"]["communicators"] == "2 in rank 0, of at most 4 CTAs each");
}

}  // namespace
}  // namespace bubblescope

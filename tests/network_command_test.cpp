// Nodes and links that messages share, from the command line.
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/json_shape.h"
#include "tests/support/process.h"

namespace bubblescope {
namespace {

using nlohmann::json;

TEST_CASE("Nodes, and links that messages share, by hand and from a file") {
  const std::string four = "simulate 1f1b -p 4 -m 4" + kCosts + " --message 100KB --p2p 1us ";
  const auto step = [](const std::string& line) { return output_json(line)["step_time_ns"]; };
  CHECK(step(four + "--ranks-per-node 2 --bandwidth 10GB/s") == step(four + "--bandwidth 10GB/s"));
  CHECK(step(four + "--ranks-per-node 2 --nvlink 10GB/s --nic 10GB/s --comm stream") >
        step(four + "--ranks-per-node 2 --inter-p2p 0.5us --nvlink 100GB/s --nic 50GB/s"));
  const std::string shared =
      "simulate interleaved-1f1b -p 4 -m 8" + kCosts +
      " --message 400KB --ranks-per-node 2 --bandwidth 100GB/s --inter-bandwidth 50GB/s "
      "--inter-p2p 2us --nic 20GB/s --nvlink 100GB/s";
  const json by_hand = output_json(shared);
  REQUIRE(by_hand["links"].size() == 6);
  const json& nic = by_hand["links"][1];
  check_shape(nic, {{"link", 's'}, {"bytes", 'i'}, {"busy_ns", 'i'}, {"contention_ns", 'i'}});
  CHECK(nic["link"] == "node 0 NIC out");
  CHECK(nic["contention_ns"] > 0);
  CHECK(nic["bytes"] == by_hand["links"][5]["bytes"]);
  CHECK(has(output(shared), "\nlink "));
  CHECK_FALSE(output_json(kGood).contains("links"));
  const TemporaryFolder folder;
  const std::string file = (folder / "network.json").string();
  std::ofstream(file) << R"({"format": "bubblescope-costs/1", "name": "n", "source": "s", "stage":
    {"forward_us": 10, "input_grad_us": 10, "weight_grad_us": 10, "message_bytes": 400000},
    "network": {"node_of_rank": [0, 0, 1, 1],
                "intra_node": {"bandwidth_GBps": 100, "shared_GBps": 100},
                "inter_node": {"latency_us": 2, "bandwidth_GBps": 50, "shared_GBps": 20}}})";
  const json from_file = output_json("simulate interleaved-1f1b -p 4 -m 8 --costs " + file);
  CHECK(without_provenance(from_file) == without_provenance(by_hand));
}

TEST_CASE("Shared links go with noise, iterations, phases, searches and comparisons") {
  const TemporaryFolder folder;
  const std::string network = " --message 400KB --ranks-per-node 2 --nvlink 40GB/s --nic 10GB/s";
  const std::string four = " -p 4 -m 8" + kCosts + network;
  const json calm = output_json("simulate 1f1b" + four);
  const json noisy = output_json("simulate 1f1b" + four + " --straggler 0=1 --samples 3");
  CHECK(noisy["noise"]["step_time_ns"]["max"] == calm["step_time_ns"]);
  CHECK(noisy["links"] == calm["links"]);
  const json iteration = output_json("simulate 1f1b" + four + " --grad-reduce 3us --optimizer 2us");
  CHECK(iteration["step_time_ns"] == calm["step_time_ns"]);
  CHECK(iteration["iteration_time_ns"] == calm["step_time_ns"].get<std::int64_t>() + 5000);
  CHECK(iteration["links"] == calm["links"]);
  const json searched = output_json("simulate zb-auto" + four);
  CHECK(searched["links"].size() == 6);
  const json compared = output_json("compare --schedules 1f1b,zb-auto" + four);
  for (const json& each : compared["results"])
    CHECK(each["step_time_ns"] == (each["schedule"] == "1f1b" ? calm : searched)["step_time_ns"]);
  const std::string file = (folder / "phases.json").string();
  std::ofstream(file) << R"({"format": "bubblescope-costs/1", "name": "n", "source": "s", "stage":
    {"layers": 1, "message_bytes": 400000, "phases": [
      {"name": "f", "of": "F", "stream": "compute", "elapsed_us": 10},
      {"name": "i", "of": "I", "stream": "compute", "elapsed_us": 11},
      {"name": "w", "of": "W", "stream": "compute", "elapsed_us": 8}]},
    "network": {"ranks_per_node": 2, "intra_node": {"shared_GBps": 40},
                "inter_node": {"shared_GBps": 10}}})";
  const json by_phases = output_json("simulate 1f1b -p 4 -m 8 --costs " + file);
  CHECK(by_phases["step_time_ns"] ==
        output_json("simulate 1f1b -p 4 -m 8 --forward 10us --input-grad 11us --weight-grad 8us" +
                    network)["step_time_ns"]);
  for (const char* command : {"replay 1f1b", "validate 1f1b", "validate 1f1b zb-h1"})
    check_failure({command + four, {"cannot be replayed"}}, kBadInput, folder);
  // Nodes alone change what a message takes, which a replay can do.
  const std::string nodes = " -p 4 -m 4" + kCosts + " --p2p 1us --ranks-per-node 2 --inter-p2p 5us";
  CHECK(output_json("validate 1f1b" + nodes)["predicted_step_ns"] ==
        output_json("simulate 1f1b" + nodes + " --comm torch")["step_time_ns"]);
}

TEST_CASE("Options of a network that make no sense are usage errors") {
  const TemporaryFolder folder;
  const std::string nodes = kGood + " --message 1MB --ranks-per-node 2 ";
  const std::vector<Failure> failures = {
      {kGood + " --message 1MB --nic 25GB/s", {"--nic needs --ranks-per-node"}},
      {kGood + " --message 1MB --nvlink 25GB/s", {"--nvlink needs --ranks-per-node"}},
      {kGood + " --inter-p2p 1us", {"--inter-p2p needs --ranks-per-node"}},
      {kGood + " --inter-bandwidth 1GB/s", {"--inter-bandwidth needs --ranks-per-node"}},
      {kGood + " --ranks-per-node 0", {"--ranks-per-node"}},
      {kGood + " --ranks-per-node 2 --nic 25GB/s", {"--message"}},
      {nodes, {"--nic"}},
      {nodes + "--nic 0GB/s", {"--nic", "above zero"}},
      {nodes + "--nvlink -1GB/s", {"--nvlink", "above zero"}},
      {nodes + "--inter-bandwidth 0GB/s", {"--inter-bandwidth", "above zero"}},
      {kGood + " --message 1000TB --ranks-per-node 2 --nic 1B/s", {"--message at", "--nic"}},
      {kSimulate + " --costs deepseek-v3-h800 --nic 25GB/s",
       {"--costs and --nic do not go together"}}};
  for (const Failure& failure : failures)
    check_failure(failure, kUsage, folder);
  check_failure({"replay 1f1b -p 4 -m 8" + kCosts + " --message 1MB --ranks-per-node 2 --nic 1GB/s",
                 {"cannot be replayed"}},
                kBadInput, folder);
}

TEST_CASE("every way to talk shows in figures, orders and traces") {
  const std::string line = "simulate dualpipe -p 4 -m 8 --p2p 5us" + kCosts;
  const json ideal = output_json(line);
  const json batched = output_json(line + " --comm batched");
  const json stream = output_json(line + " --comm stream");
  CHECK(batched["comm"] == "batched");
  CHECK(stream["comm"] == "stream");
  CHECK(batched["step_time_ns"] > ideal["step_time_ns"]);
  CHECK(stream["step_time_ns"] >= ideal["step_time_ns"]);
  std::int64_t peer = 0;
  for (const json& rank : batched["per_rank"]) {
    peer += rank["idle_peer_ns"].get<std::int64_t>();
    std::int64_t causes = 0;
    for (const char* cause : {"warm_up", "dependency", "peer", "queue", "message", "drain"})
      causes += rank["idle_" + std::string(cause) + "_ns"].get<std::int64_t>();
    CHECK(causes == rank["idle_ns"]);
  }
  CHECK(peer > 0);
  CHECK(run("order 1f1b -p 4 -m 8 --comm batched").exit_code == kUsage);
  const json program = json::parse(output("order 1f1b -p 2 -m 2 --comm batched --to json"));
  CHECK(program["comm"] == "batched");
  CHECK(program["program"][0][1].contains("batch"));
  CHECK(has(output("order 1f1b -p 2 -m 2 --comm stream --to dot"), "0F0 0 to 1"));
}

}  // namespace
}  // namespace bubblescope

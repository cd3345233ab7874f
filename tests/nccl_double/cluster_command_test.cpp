// `--backend nccl` from the command line to its report, as processes of a job on the test doubles
// of CUDA and NCCL.
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/schedule/catalogue.h"
#include "tests/nccl_double/cluster_job.h"
#include "tests/support/command.h"
#include "tests/support/reference.h"
#include "tests/support/trace_checker.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kCosts = " --forward 400us --input-grad 400us --weight-grad 200us --p2p 20us";
const std::string kTensors =
    " --backend nccl --workload tensors --tokens 8 --hidden 16 --inner 16 --blocks 2 --warm-ups 0 "
    "--repeats 1 --forward 1us --input-grad 1us --weight-grad 1us";

/// What rank 0 prints, where all is well: the others print nothing.
std::string output_of(const std::vector<ProcessResult>& job) {
  for (std::size_t rank = 0; rank < job.size(); ++rank) {
    CAPTURE(rank);
    CHECK_MESSAGE(job[rank].exit_code == 0, job[rank].err);
    CHECK(!has(job[rank].err, "NCCL double: "));
    if (rank > 0)
      CHECK(job[rank].out + job[rank].err == "");
  }
  return job.front().out;
}

struct Pipelines {
  int ranks;
  int processes;
  std::string names;
  std::string comm;
};

void check_parity(const Pipelines& pipelines) {
  CAPTURE(pipelines.ranks);
  CAPTURE(pipelines.processes);
  CAPTURE(pipelines.comm);
  const std::string text = output_of(run_job(
      {.processes = pipelines.processes,
       .line = fmt::format("validate {} --comm {} -p {} -m {} --tolerance 1e9 --format json",
                           pipelines.names, pipelines.comm, pipelines.ranks, 2 * pipelines.ranks) +
               kTensors},
      std::chrono::minutes(3)));
  REQUIRE(!text.empty());
  const json report = json::parse(text);
  REQUIRE(report["results"].size() == words(pipelines.names).size());
  for (const json& each : report["results"]) {
    CAPTURE(each["schedule"].get<std::string>());
    CHECK(each["backend"] == "nccl");
    CHECK(each["parity"]["holds"] == true);
  }
}

TEST_CASE("any schedule over processes has the gradients of an unpipelined run") {
  const std::string all = fmt::format("{}", fmt::join(schedule_names(), " "));
  for (const std::string comm : {"ideal", "stream", "batched"})
    for (const int ranks : {2, 4})
      check_parity({.ranks = ranks,
                    .processes = ranks,
                    .names = kSanitized && ranks > 2 ? "zb-v dualpipe" : all,
                    .comm = comm});
}

TEST_CASE("longer pipelines, and pipelines beside each other, have them too") {
  for (const std::string comm : {"ideal", "stream", "batched"}) {
    check_parity({.ranks = 8, .processes = 8, .names = "1f1b zb-v dualpipe", .comm = comm});
    check_parity({.ranks = 4, .processes = 8, .names = "dualpipev chimera", .comm = comm});
    check_parity({.ranks = 2, .processes = 8, .names = "1f1b dualpipe", .comm = comm});
  }
}

TEST_CASE("a wrong bit in what one process sends is found") {
  struct Case {
    std::string spoils;
    int processes;
    std::string line;
    int exit_code;
    std::string says;
  };
  const Case cases[] = {
      {"message", 2, "replay 1f1b -p 2 -m 4" + kTensors, kCheckFailed, "parity FAILS"},
      {"all-reduce", 4, "replay 1f1b -p 2 -m 4" + kTensors, kCheckFailed, "parity FAILS"},
      {"all-reduce", 2, "replay dualpipe -p 2 -m 4" + kTensors, kCheckFailed, "parity FAILS"},
      {"message", 2, "replay 1f1b -p 2 -m 4 --backend nccl" + kCosts, kDevice, " and found "},
  };
  for (const Case& each : cases) {
    CAPTURE(each.line);
    const std::vector<ProcessResult> job =
        run_job({.processes = each.processes,
                 .line = each.line,
                 .changes = {{1, {.environment = {{"BUBBLESCOPE_DOUBLE_SPOILS", each.spoils}}}}}});
    CHECK(job.front().exit_code == each.exit_code);
    CHECK_MESSAGE(has(job.front().out + job.front().err, each.says),
                  job.front().out << job.front().err);
    for (std::size_t rank = 1; rank < job.size(); ++rank)
      CHECK(job[rank].out + job[rank].err == "");
  }
}

TEST_CASE("messages that cross find the wrong data at their receiver") {
  const TemporaryFolder folder;
  folder.write("crossed.csv",
               "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
               "1RECV_F1,1F1,1RECV_F0,1F0,1B0,1SEND_B0,1B1,1SEND_B1\n");
  const std::vector<ProcessResult> job =
      run_job({.processes = 2,
               .line = "replay --program crossed.csv --no-check --backend nccl" + kCosts,
               .folder = folder.path()});
  CHECK(job[0].exit_code == kDevice);
  CHECK(job[1].exit_code == kDevice);
  CHECK_MESSAGE(has(job[0].err, "1F1 needs the activation of 0F1 and found"), job[0].err);
  CHECK(job[1].err == "");
}

/// Whether everything begins when what it needs is there, as far as the clocks tell.
void check_causes(const json& run, int ranks) {
  const std::int64_t slack_ns = run["clock_uncertainty_ns"];
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> spans;  // "2F0" on rank 2
  for (const json& action : run["actions"])
    spans[action["action"]] = {action["start_ns"], action["end_ns"]};
  for (const json& message : run["messages"]) {
    CHECK(message["end_ns"] >= message["start_ns"]);
    CHECK(message["start_ns"] >= 0);
  }
  for (int rank = 0; rank < ranks; ++rank)
    for (int microbatch = 0; microbatch < 2 * ranks; ++microbatch) {
      const auto span = [&](int of, char kind) {
        return spans.at(fmt::format("{}{}{}", of, kind, microbatch));
      };
      if (rank > 0)
        CHECK(span(rank, 'F').first >= span(rank - 1, 'F').second - slack_ns);
      if (rank + 1 < ranks)
        CHECK(span(rank, 'B').first >= span(rank + 1, 'B').second - slack_ns);
    }
}

TEST_CASE("GPUs' clocks that differ by minutes and drift are read as one") {
  const TemporaryFolder folder;
  ClusterJobOptions options = {
      .processes = 4,
      .line = "replay 1f1b -p 4 -m 8 --comm stream --backend nccl -o run.json" + kCosts,
      .folder = folder.path()};
  for (int rank = 0; rank < options.processes; ++rank)
    options.changes[rank].environment["BUBBLESCOPE_DOUBLE_CLOCK"] =
        fmt::format("{},{}", 60'000'000'000 * rank, 50 * rank - 75);
  CHECK(output_of(run_job(options)) == "");
  const json run = json::parse(contents(folder / "run.json"));
  CHECK(run["actions"].size() == 4 * 8 * 2);
  CHECK(run["step_time_ns"] < 1'000'000'000);
  CHECK(run["clock_uncertainty_ns"] < 20'000'000);
  check_causes(run, options.processes);
}

TEST_CASE("rank 0 writes one report and one trace of all ranks") {
  const TemporaryFolder folder;
  const std::string text = output_of(
      run_job({.processes = 4,
               .line = "validate dualpipe -p 4 -m 8 --comm stream --backend nccl --tolerance 1e9 "
                       "--format json --trace both.json.gz" +
                       kCosts,
               .folder = folder.path()}));
  CHECK(folder.listing() == "both.json.gz");
  const json report = json::parse(text);
  CHECK(report["backend"] == "nccl");
  CHECK(report["measured_step_ns"] >= 9'000'000);  // of work on each rank alone
  CHECK(report["machine"]["device"] == "4 × test double");
  CHECK(report["machine"]["processes"] == "4, a pipeline rank each");
  CHECK(report["machine"]["NCCL"] == "2.28.9");
  const CheckedTrace checked = check_trace(inflated(folder / "both.json.gz"));
  CHECK(fmt::format("{}", fmt::join(checked.violations, "\n")) == "");
  for (int rank = 0; rank < 4; ++rank)
    CHECK(checked.actions.at(rank) > 0);
}

TEST_CASE("experts of replicas send by NCCL's all-to-all, and by messages where it has none") {
  const TemporaryFolder folder;
  folder.write("costs.json", R"({
    "format": "bubblescope-costs/1", "name": "x", "source": "y", "link": {"latency_us": 20},
    "stage": {"layers": 1, "sms": 132, "phases": [
      {"name": "a", "of": "F", "stream": "compute", "elapsed_us": 300},
      {"name": "b", "of": "F", "stream": "expert", "elapsed_us": 50, "sms": 20, "sent_bytes": 30},
      {"name": "c", "of": "I", "stream": "compute", "elapsed_us": 300},
      {"name": "d", "of": "I", "stream": "expert", "elapsed_us": 50, "sms": 20, "sent_bytes": 10},
      {"name": "e", "of": "W", "stream": "compute", "elapsed_us": 200}]}})");
  for (const std::string version : {"22809", "22707"}) {
    ClusterJob job({.processes = 4,
                    .line = "replay 1f1b -p 2 -m 4 --costs costs.json --backend nccl --repeats 1 "
                            "--warm-ups 0",
                    .environment = {{"BUBBLESCOPE_DOUBLE_NCCL_VERSION", version}},
                    .folder = folder.path()});
    CHECK(job.wait(std::chrono::minutes(1)));
    for (int rank = 0; rank < job.processes(); ++rank) {
      CHECK_MESSAGE(job.result(rank).exit_code == 0, job.result(rank).err);
      std::size_t all_to_alls = 0;
      for (const std::string& note : lines(job.notes(rank)))
        all_to_alls += has(note, "all-to-all") ? 1U : 0U;
      CHECK(all_to_alls ==
            (version == "22809" ? 1U + 2 * 4 : 0U));  // one connects  // one in each F and B
      CHECK(lines(job.notes(rank)).size() > 2 * 4);
    }
  }
}

}  // namespace
}  // namespace bubblescope

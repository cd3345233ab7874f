// Replays as scripts see them: no error where there is none, and faults that are told.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/effort.h"
#include "tests/support/reference.h"
#include "tests/support/trace_checker.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kCosts = " --forward 10us --input-grad 11us --weight-grad 8us --p2p 1us";
const std::string kShape = " -p 4 -m 8";
const std::string kDeadlock = " --program " + source_file("data/programs/deadlock.csv").string();

/// A failure: what it says on stderr, with nothing on stdout.
void check_failure(const std::string& line, int exit_code, const std::vector<std::string>& says,
                   const ProcessOptions& options = {}) {
  const ProcessResult result = run(line, options);
  CAPTURE(line);
  CAPTURE(result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.out == "");
  CHECK(result.err.starts_with("bubblescope: "));
  for (const std::string& part : says)
    CHECK_MESSAGE(has(result.err, part), "does not say: " << part);
}

/// The rules that a run cut short can keep: its activations are not all given back.
void check_partial_trace(const std::string& text) {
  for (const std::string& violation : check_trace(text).violations)
    CHECK_MESSAGE(has(violation, "live activations"), violation);
  CHECK(json::parse(text)["otherData"].contains("fault"));
}

}  // namespace

TEST_CASE("schedules that talk in any way are replayed by threads as they were predicted") {
  for (const std::string comm : {"ideal", "stream", "batched", "torch"})
    for (const std::string workload : {"timed", "tensors --tokens 4 --hidden 8 --inner 8"}) {
      const json all = json::parse(output(
          "validate gpipe 1f1b zb-h1 zb-h2 zb-v interleaved-1f1b dualpipe dualpipev chimera" +
          kShape + kCosts + " --format json --comm " + comm + " --workload " + workload));
      CHECK(all["results"].size() == 9);
      for (const json& each : all["results"]) {
        CAPTURE(comm);
        CAPTURE(each["schedule"].get<std::string>());
        CHECK(each["step_error"] == 0);
        CHECK(each["bubble_error_points"] == 0);
        CHECK(each["start_error_ns"]["max"] == 0);
        CHECK(each["noise"] == 0);
        CHECK(each["holds"] == true);
        CHECK(each["parity"].is_null() == (workload == "timed"));
      }
      CHECK(all["ranking"]["wrong"].empty());
      CHECK(all["ranking"]["predicted_order"] == all["ranking"]["measured_order"]);
    }
}

TEST_CASE("a replay tells the figures that simulate tells, and when everything ran") {
  const TemporaryFolder folder;
  const std::string what = " 1f1b --comm batched" + kShape + kCosts;
  const json simulated = json::parse(output("simulate" + what + " --format json"));
  const ProcessResult written = run("replay" + what + " -o run.json", {.folder = folder.path()});
  CHECK(written.exit_code == 0);
  CHECK(written.out == "");
  const json replayed = json::parse(contents(folder / "run.json"));
  CHECK(replayed["format"] == "bubblescope-timeline/1");
  for (const char* key : {"schedule", "step_time_ns", "bubble_fraction", "peak_live_activations"})
    CHECK(replayed[key] == simulated[key]);
  std::size_t actions = 0;
  for (const json& action : replayed["actions"]) {
    CHECK(action["end_ns"] > action["start_ns"]);
    ++actions;
  }
  CHECK(actions == 4 * (8 * 2));
  CHECK(replayed["messages"].size() == 2 * 3 * 8);
  CHECK(replayed["actions"][0] ==
        json{{"rank", 0}, {"action", "0F0"}, {"start_ns", 0}, {"end_ns", 10'000}});
  CHECK(has(output("replay" + what), "1f1b, measured on host threads on a virtual clock"));
}

TEST_CASE("traces of a replay, and of both, keep the rules and name their source") {
  const TemporaryFolder folder;
  for (const std::string command : {"replay", "validate"}) {
    const std::string file = command + ".json.gz";
    output(command + " zb-v --comm stream --trace " + file + kShape + kCosts,
           {.folder = folder.path()});
    const std::string text = inflated(folder / file);
    CHECK(check_trace(text).violations.empty());
    CHECK(json::parse(text)["otherData"]["source"] == "host threads on a virtual clock");
    CHECK(has(text, "actions, predicted") == (command == "validate"));
  }
}

TEST_CASE("in real time a step takes at least as long as predicted, and its noise is known") {
  const json one = json::parse(
      output("validate 1f1b -p 2 -m 2 --forward 2ms --input-grad 1ms --weight-grad 1ms --real-time "
             "--repeats 3 --tolerance 1000 --format json"));
  CHECK(one["measured_step_ns"] >= one["predicted_step_ns"]);
  CHECK(one["step_times_ns"].size() == 3);
  CHECK(one["machine"].contains("device"));
  CHECK(one["command"].get<std::string>().starts_with("bubblescope validate 1f1b -p 2"));
  CHECK(one["date"].get<std::string>().ends_with("Z"));
}

TEST_CASE("moments count from the first action, though receives are posted before it") {
  const TemporaryFolder folder;
  const ProcessResult written =
      run("replay 1f1b -p 3 -m 4 --forward 1ms --input-grad 1ms --weight-grad 1ms --comm torch "
          "--real-time --repeats 1 -o run.json",
          {.folder = folder.path()});
  CHECK(written.exit_code == 0);
  const json replayed = json::parse(contents(folder / "run.json"));
  std::int64_t first = replayed["step_time_ns"];
  std::int64_t last = 0;
  for (const json& action : replayed["actions"]) {
    first = std::min(first, action["start_ns"].get<std::int64_t>());
    last = std::max(last, action["end_ns"].get<std::int64_t>());
  }
  CHECK(first == 0);
  CHECK(last == replayed["step_time_ns"]);
}

TEST_CASE("a step past the tolerance is exit code 1, with its figures") {
  const ProcessResult result =
      run("validate 1f1b -p 2 -m 2 --forward 20us --input-grad 20us --weight-grad 20us --real-time "
          "--tolerance 0");
  CHECK(result.exit_code == kCheckFailed);
  CHECK(has(result.out, "verdict: past 0 %"));
}

TEST_CASE("a program that deadlocks is refused, exit code 3, or caught by the watchdog, 4") {
  const TemporaryFolder folder;
  check_failure("replay" + kDeadlock + kCosts, kBadInput, {"in a circle", "0RECV_B0"});
  check_failure("validate" + kDeadlock + kCosts, kBadInput, {"in a circle"});
  const auto begin = std::chrono::steady_clock::now();
  check_failure("replay" + kDeadlock + kCosts + " --no-check --timeout 200ms --trace cut.json",
                kDevice,
                {"for 0.2 s", "in a circle", "rank 0, step 3 (0RECV_B0)", "how far it came"},
                {.folder = folder.path()});
  if (!kSanitized)
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
  check_partial_trace(contents(folder / "cut.json"));
  CHECK(has(contents(folder / "cut.json"), "grad 0 has not ended"));
}

TEST_CASE("a rank that hangs or fails is named, and the trace tells how far it came") {
  const TemporaryFolder folder;
  const std::string line = "replay 1f1b --comm stream --timeout 200ms --trace cut.json -o no.txt" +
                           kShape + kCosts + " --inject ";
  check_failure(line + "hang:2:2F3", kDevice, {"rank 2: 2F3 has begun and not ended", "waits for"},
                {.folder = folder.path()});
  CHECK(folder.listing() == "cut.json");
  check_partial_trace(contents(folder / "cut.json"));
  CHECK(has(contents(folder / "cut.json"), R"("name":"F3 has not ended","cname":"terrible")"));
  CHECK(!has(contents(folder / "cut.json"), "\"2B3\""));
  check_failure(line + "fail:2:2F3", kDevice, {"rank 2: 2F3 failed"}, {.folder = folder.path()});
  check_partial_trace(contents(folder / "cut.json"));
}

TEST_CASE("an interrupted replay saves its trace, exit code 4") {
  const TemporaryFolder folder;
  for (const std::string signal : {"INT", "TERM"}) {
    // The signal comes when the step's threads are there, so its handler is.
    const ProcessResult result = run_shell(
        "bubblescope replay 1f1b -p 2 -m 4 --forward 60s --input-grad 1s --weight-grad 1s "
        "--real-time --timeout 100s --trace cut.json & "
        "until [ $(ls /proc/$!/task | wc -l) -gt 1 ]; do sleep 0.01; done; kill -" +
            signal + " $!; wait $!",
        {.folder = folder.path()});
    CAPTURE(result.err);
    CHECK(result.exit_code == kDevice);
    CHECK(has(result.err, "interrupted"));
    check_partial_trace(contents(folder / "cut.json"));
  }
}

TEST_CASE("a machine that is not there is told in one line, exit code 4") {
  const std::string line = "replay 1f1b" + kShape + kCosts + " --backend ";
  for (const std::string backend : {"cuda", "nccl"}) {
    check_failure(line + backend, kDevice, {"--backend " + backend, "no-such-module"},
                  {.environment = {{"BUBBLESCOPE_CUDA_MODULE", "no-such-module"}}});
    check_failure(line + backend, kDevice, {"--backend " + backend, "bubblescope"},
                  {.environment = {{"BUBBLESCOPE_CUDA_MODULE", program_file()}}});
  }
}

TEST_CASE("an output that cannot be written is told before anything is measured") {
  const std::string line = " --real-time --workload tensors --inject hang:1:1F2 --timeout 100s";
  for (const std::string output : {" -o /no/such/folder/x", " --trace /no/such/folder/x"})
    for (const std::string command : {"replay 1f1b", "validate 1f1b"})
      check_failure(command + kShape + kCosts + line + output, kBadInput,
                    {"cannot write /no/such/folder/x"});
  check_failure("calibrate -p 2 --real-time --repeats 1000 --action 1s -o /no/such/folder/x",
                kBadInput, {"cannot write /no/such/folder/x"});
}

TEST_CASE("tensors beside costs by hand are told to be two things") {
  const ProcessResult result =
      run("validate 1f1b --real-time --workload tensors --tolerance 1e9" + kShape + kCosts);
  CAPTURE(result.err);
  CHECK(has(result.err, "validate with --profile"));
}

TEST_CASE("communication inside actions that costs tell of is not told of tensors") {
  const std::string line = "replay dualpipe -p 2 -m 4 --costs deepseek-v3-h800 -q --workload ";
  const json timed = output_json(line + "timed");
  CHECK(timed["per_rank"][0]["exposed_comm_ns"] > 0);
  const json tensors = output_json(line + "tensors --real-time --repeats 1");
  for (const json& rank : tensors["per_rank"])
    CHECK(rank["exposed_comm_ns"] <= rank["idle_ns"]);
}

TEST_CASE("options that do not show in what is run are noted") {
  const std::string line = "replay 1f1b -p 2 -m 2" + kCosts + " --activation 1GiB --weights 1GiB ";
  const auto notes = [&](const std::string& options) { return run(line + options).err; };
  CHECK(notes("") == "");
  for (const std::string options :
       {"--optimizer 5us", "--grad-reduce 5us", "--reduce overlapped", "--optimizer-sync none"})
    CHECK_MESSAGE(has(notes(options), "--grad-reduce, --optimizer, --reduce"), notes(options));
  CHECK(has(notes("--memory-limit 1GiB"), "--memory-limit: no run is held to it"));
  CHECK(has(run("validate 1f1b -p 2 -m 2" + kCosts + " --optimizer 5us").err, "the step alone"));
  CHECK(!has(run("replay zb-auto -p 2 -m 2" + kCosts + " --memory-limit 2").err, "--memory-limit"));
}

TEST_CASE("a machine is calibrated, and its profile tells validate what to replay, and how long") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  const std::string small = " --tokens 4 --hidden 8 --inner 8 --blocks 2";
  const ProcessResult made =
      run("calibrate -p 2 --real-time --repeats 2 -o p.json --workload tensors" + small, there);
  CHECK(made.exit_code == 0);
  CHECK(has(made.err, "measured on host threads, ± "));
  const ProcessResult once =
      run("calibrate -p 2 --real-time --repeats 1 --action 10us -o once.json", there);
  CHECK(has(once.err, "measured on host threads, once, so that its noise is unknown (--repeats)"));
  const json profile = json::parse(contents(folder / "p.json"));
  CHECK(profile["format"] == "bubblescope-profile/1");
  CHECK(profile["command"].get<std::string>().starts_with("bubblescope calibrate -p 2"));
  const json all = json::parse(output(
      "validate 1f1b zb-v -m 4 -p 2 --profile p.json --tolerance 100000 --format json", there));
  for (const json& each : all["results"]) {
    CHECK(each["clock"] == "real");
    CHECK(each["workload"] == "tensors");
    CHECK(each["parity"]["holds"] == true);
    CHECK(each["predicted_step_ns"] > 0);
  }
  const std::string line = "validate 1f1b -m 4 --profile p.json -p ";
  check_failure(line + "4", kBadInput, {"2 ranks"}, there);
  check_failure(line + "2 --forward 1us", kUsage, {"--p2p"}, there);
  check_failure(line + "2 --p2p 5us", kUsage, {"--p2p", "calibrate with yours"}, there);
  check_failure(line + "2 --backend cuda", kUsage, {"profile was measured with host"}, there);
  check_failure("calibrate -p 2", kUsage, {"--real-time"});
  check_failure("calibrate -p 2 --real-time --action 0", kUsage, {"--action", "above zero"});
  check_failure("calibrate -p 2 --real-time --workload tensors --action 5us", kUsage,
                {"--action is for --workload timed"});
  check_failure("calibrate -p 2 --backend nccl --p2p 5us", kUsage, {"--p2p", "NCCL"});
  CHECK(run("calibrate -p 2 --real-time --repeats 1 --workload tensors -o p.json",
            {.environment = {{"BUBBLESCOPE_ACTION", "5us"}}, .folder = folder.path()})
            .exit_code == 0);
  check_failure("calibrate --real-time", kUsage, {"-p/--ranks"});
}

TEST_CASE("options of a machine that make no sense are refused, exit code 2") {
  const std::string line = "replay 1f1b" + kShape + kCosts;
  struct Case {
    std::string options;
    std::vector<std::string> says;
  };
  const Case cases[] = {{" --backend gpu", {"--backend", "host|cuda|nccl"}},
                        {" --backend cuda --real-time", {"--real-time", "host"}},
                        {" --launch streams", {"--launch", "cuda"}},
                        {" --backend cuda --no-partitions", {"--no-partitions", "tensors"}},
                        {" --tokens 4", {"--tokens", "tensors"}},
                        {" --workload tensors --tokens 0", {"--tokens"}},
                        {" --workload tensors --blocks 3 --program x.csv", {"NAME"}},
                        {" --repeats 0", {"--repeats"}},
                        {" --timeout 10", {"--timeout", "unit"}},
                        {" --timeout 1ns", {"--timeout", "1ms"}},
                        {" --inject hang", {"hang:RANK:ACTION"}},
                        {" --inject stop:1:1F2", {"hang|fail"}},
                        {" --inject hang:9:1F2", {"--inject", "'9'"}},
                        {" --inject hang:1:2F2", {"no action '2F2'; did you mean '1F2'?"}},
                        {" --no-check", {"--no-check", "--program"}},
                        {" --trace -", {"--trace"}}};
  for (const Case& each : cases)
    check_failure(line + each.options, kUsage, each.says);
  check_failure("replay" + kShape + kCosts, kUsage, {"NAME"});
  check_failure("validate" + kShape + kCosts, kUsage, {"NAME"});
  check_failure("validate 1f1b gpipe --trace t.json" + kShape + kCosts, kUsage, {"one schedule"});
  check_failure("validate 1f1b --no-check" + kShape + kCosts, kUsage, {"--no-check"});
  check_failure("validate 1f1b --tolerance x" + kShape + kCosts, kUsage, {"--tolerance"});
  check_failure("validate 1f1b --tolerance 0.5" + kShape + kCosts, kUsage,
                {"--tolerance: '0.5' may mean 0.5% or 50%"});
  check_failure("validate 1f1b dualpipe -p 3 -m 6" + kCosts, kBadInput, {"p must be even"});
}

}  // namespace bubblescope

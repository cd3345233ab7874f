// `analyze` as scripts see it, and the traces that `simulate` writes for it and its relatives.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include "tests/support/command.h"
#include "tests/support/golden.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kCosts = " --forward 10us --input-grad 11us --weight-grad 8us --p2p 3us";

std::string unpacked(const std::string& path) {
  std::string text;
  gzFile file = gzopen(path.c_str(), "rb");
  std::vector<char> buffer(1 << 16);
  for (int got = 1; got > 0;) {
    got = gzread(file, buffer.data(), static_cast<unsigned>(buffer.size()));
    text.append(buffer.data(), static_cast<std::size_t>(std::max(got, 0)));
  }
  gzclose(file);
  return text;
}

/// Two ranks of a pipeline that was profiled, the second of which works from 40 to 90 µs.
void write_ranks(const TemporaryFolder& folder) {
  const auto trace = [](int rank, const std::string& events) {
    return R"({"schemaVersion": 1, "distributedInfo": {"rank": )" + std::to_string(rank) +
           R"(}, "traceEvents": [)" + events + "]}";
  };
  const auto kernel = [](const std::string& name, int start, int duration, int stream) {
    return R"({"ph": "X", "cat": "kernel", "name": ")" + name + R"(", "ts": )" +
           std::to_string(start) + R"(, "dur": )" + std::to_string(duration) +
           R"(, "args": {"stream": )" + std::to_string(stream) + "}}";
  };
  folder.write("a.json", trace(0, kernel("gemm", 0, 50, 7) + "," + kernel("gemm", 90, 10, 7)));
  folder.write("b.json", trace(1, kernel("gemm", 40, 30, 7) + "," +
                                      kernel("ncclDevKernel_SendRecv", 60, 30, 20)));
}

void check_failure(const std::string& line, int exit_code, const std::string& says) {
  const ProcessResult result = run(line);
  CAPTURE(line);
  CAPTURE(result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.out == "");
  CHECK(has(result.err, says));
}

}  // namespace

TEST_CASE("traces that simulate writes tell analyze what simulate tells") {
  for (const std::string name :
       {"1f1b", "gpipe", "zb-h1", "zb-v", "interleaved-1f1b", "dualpipe", "dualpipev"})
    for (const std::string comm : {"ideal", "stream", "batched"}) {
      CAPTURE(name);
      CAPTURE(comm);
      const TemporaryFolder folder;
      const std::string line =
          "simulate " + name + " -p 4 -m 8 --format json --comm " + comm + kCosts;
      const json report =
          json::parse(output(line + " --trace-flavour kineto --trace " + (folder / "k").string()));
      output(line + " --trace " + (folder / "p.json").string());
      for (const std::string path : {"k", "p.json"}) {
        const json all = json::parse(output("analyze --format json " + (folder / path).string()));
        REQUIRE(all["ranks"].size() == 4);
        for (std::size_t rank = 0; rank < 4; ++rank) {
          const json& ours = all["ranks"][rank];
          const json& wanted = report["per_rank"][rank];
          CHECK(ours["rank"] == rank);
          CHECK(ours["window_ns"] == report["step_time_ns"]);
          CHECK(ours["compute_ns"] == wanted["busy_ns"]);
          CHECK(ours["exposed_communication_ns"] == wanted["exposed_comm_ns"]);
          CHECK(ours["idle_ns"].get<std::int64_t>() ==
                wanted["idle_ns"].get<std::int64_t>() -
                    wanted["exposed_comm_ns"].get<std::int64_t>());
          CHECK(ours["idle_by_reason"]["host_wait_ns"] == 0);
        }
      }
    }
}

TEST_CASE("traces of all ranks in one file tell what they tell apart") {
  const TemporaryFolder folder;
  output("simulate 1f1b -p 4 -m 8 --comm stream" + kCosts + " --trace-flavour kineto --trace " +
         (folder / "run").string());
  json merged;
  for (int rank = 0; rank < 4; ++rank) {
    const std::string number = std::to_string(rank);
    json trace = json::parse(unpacked((folder / ("run/rank" + number + ".json.gz")).string()));
    for (json& event : trace["traceEvents"]) {
      event["pid"] = "[PP" + number + "] " + event["pid"].dump();
      if (event.contains("args") && event["args"].contains("device"))
        event["args"]["device"] = rank / 2;  // two nodes
    }
    if (rank == 0)
      merged = trace;
    else
      merged["traceEvents"].insert(merged["traceEvents"].end(), trace["traceEvents"].begin(),
                                   trace["traceEvents"].end());
  }
  folder.write("merged.json", merged.dump());
  const json apart = json::parse(output("analyze --format json " + (folder / "run").string()));
  const json one =
      json::parse(output("analyze --format json " + (folder / "merged.json").string()));
  REQUIRE(one["ranks"].size() == 4);
  for (std::size_t rank = 0; rank < 4; ++rank)
    for (const auto& [key, value] : apart["ranks"][rank].items())
      if (key != "trace" && key != "device")
        CHECK_MESSAGE(one["ranks"][rank][key] == value, key);
}

TEST_CASE("a trace of Kineto's flavour has what analyzers ask for") {
  const TemporaryFolder folder;
  output("simulate dualpipe -p 4 -m 8 --comm stream" + kCosts + " --trace-flavour kineto --trace " +
         (folder / "out").string());
  for (int rank = 0; rank < 4; ++rank) {
    const std::string text =
        unpacked((folder / ("out/rank" + std::to_string(rank) + ".json.gz")).string());
    CHECK(has(text, "\"rank\": " + std::to_string(rank)));  // as HolisticTraceAnalysis seeks it
    const json trace = json::parse(text);
    CHECK(trace["schemaVersion"] == 1);
    CHECK(trace["distributedInfo"]["world_size"] == 4);
    std::map<int, double> launches;
    std::map<int, double> busy_until;  // of streams
    int kernels = 0;
    int steps = 0;
    for (const json& event : trace["traceEvents"]) {
      steps += event["name"] == "ProfilerStep#0" ? 1 : 0;
      if (event.value("cat", "") == "cuda_runtime")
        CHECK(launches.emplace(event["args"]["correlation"], event["ts"]).second);
      if (event.value("cat", "") != "kernel")
        continue;
      ++kernels;
      const json& args = event["args"];
      CHECK(args["device"] == rank);
      CHECK(args["stream"] == event["tid"]);
      REQUIRE(launches.contains(args["correlation"]));
      CHECK(launches[args["correlation"]] <= event["ts"]);
      double& until = busy_until[args["stream"]];
      CHECK(event["ts"].get<double>() >= until - 1e-6);
      until = event["ts"].get<double>() + event["dur"].get<double>();
      CHECK(has(event["name"], args["stream"] == 7 ? "pipeline_" : "ncclDevKernel_SendRecv"));
    }
    CHECK(steps == 1);
    CHECK(kernels > 0);
    CHECK(launches.size() == static_cast<std::size_t>(kernels));
  }
  const json costs = json::parse(
      output("calibrate --format json " + (folder / "out").string()));  // by its PP: ranges
  CHECK(costs.dump().find("10") != std::string::npos);
}

TEST_CASE("a folder of Kineto's flavour holds one run") {
  const TemporaryFolder folder;
  const std::string trace = " --trace-flavour kineto --trace " + (folder / "out").string();
  output("simulate 1f1b -p 4 -m 4" + kCosts + trace);
  output("simulate 1f1b -p 4 -m 8" + kCosts + trace);
  check_failure("simulate 1f1b -p 2 -m 4" + kCosts + trace, kBadInput, "of another run");
  folder.write("file", "");
  check_failure("simulate 1f1b -p 2 -m 4" + kCosts + " --trace-flavour kineto --trace " +
                    (folder / "file").string(),
                kUsage, "fills a folder");
  check_failure("simulate 1f1b -p 2 -m 4" + kCosts + " --trace-flavour kineto", kUsage,
                "--trace-flavour needs --trace");
  check_failure("simulate 1f1b -p 2 -m 4" + kCosts + " --trace x --trace-flavour kinto", kUsage,
                "kineto");
}

TEST_CASE("replays and validations write traces of either flavour") {
  const TemporaryFolder folder;
  for (const std::string command : {"replay", "validate"}) {
    const std::string path = (folder / command).string();
    output(command + " 1f1b -p 2 -m 4 --comm stream" + kCosts + " --trace-flavour kineto --trace " +
           path);
    const json all = json::parse(output("analyze --format json " + path));
    CHECK(all["ranks"].size() == 2);
    output(command + " 1f1b -p 2 -m 4 --comm stream" + kCosts + " --trace " + path + ".json");
    const json other = json::parse(output("analyze --format json " + path + ".json"));
    for (std::size_t rank = 0; rank < 2; ++rank)
      CHECK(all["ranks"][rank]["compute_ns"] == other["ranks"][rank]["compute_ns"]);
  }
  const std::string path = (folder / "cut").string();
  const ProcessResult cut =
      run("replay --program " + source_file("data/programs/deadlock.csv").string() +
          " --no-check --timeout 200ms --costs deepseek-v3-h800 "
          "--trace-flavour kineto --trace " +
          path);
  CHECK(cut.exit_code != 0);
  if (has(cut.err, "how far it came"))
    CHECK(has(cut.err, path + "/partial.json.gz"));
}

TEST_CASE("analyze shows ranks, reasons, families and the one that idles most") {
  const TemporaryFolder folder;
  write_ranks(folder);
  const ProcessOptions there{.folder = folder.path()};
  check_golden("analyze.txt", output("analyze a.json b.json", there));
  check_golden("analyze.md", output("analyze a.json b.json --format md", there));
  CHECK(output("analyze a.json b.json --format csv", there) ==
        "rank,trace,window_ns,busy_ns,idle_ns,compute_ns,communication_ns,memory_ns,overlap_ns,"
        "overlap_fraction,exposed_communication_ns,idle_before_first_ns,idle_host_wait_ns,"
        "idle_kernel_wait_ns,idle_other_ns,idle_after_last_ns\r\n"
        "0,a.json,100000,60000,40000,60000,0,0,0,,0,0,0,0,40000,0\r\n"
        "1,b.json,100000,50000,50000,30000,30000,0,10000,0.3333333333333333,20000,40000,0,0,0,"
        "10000\r\n");
  const json by_rank =
      json::parse(output("analyze b.json a.json --window rank --format json", there));
  CHECK(by_rank["window"] == "rank");
  CHECK(by_rank["ranks"][1]["window_ns"] == 50000);
  CHECK(by_rank["ranks"][1]["idle_ns"] == 0);
  const json by_name =
      json::parse(output("analyze a.json b.json --comm-pattern gemm --format json", there));
  CHECK(by_name["ranks"][0]["communication_ns"] == 60000);
  CHECK(run("analyze a.json b.json -o out.txt", there).exit_code == 0);
  CHECK(contents(folder / "out.txt") == output("analyze a.json b.json", there));
}

TEST_CASE("analyze refuses what it cannot do with a reason") {
  const TemporaryFolder folder;
  write_ranks(folder);
  const std::string a = (folder / "a.json").string();
  folder.write("copy.json", contents(a));
  std::filesystem::create_directory(folder / "empty");
  check_failure("analyze", kUsage, "a trace is expected");
  check_failure("analyze " + a + " --window setp", kUsage, "step");
  check_failure("analyze " + a + " --steps last", kUsage, "drop-last");
  check_failure("analyze " + a + " --comm-pattern (", kUsage, "--comm-pattern: ");
  std::filesystem::create_symlink(a, folder / "link.json");
  for (const std::string& same :
       {a, (folder / "./a.json").string(), (folder / "link.json").string()})
    check_failure("analyze " + a + " -o " + same, kUsage, "is read as TRACE");
  check_failure("analyze " + folder.path().string() + " -o " + a, kUsage, "whose files are read");
  const ProcessResult empty = run_program({"analyze", ""});
  CHECK(empty.exit_code == kUsage);
  CHECK(has(empty.err, "an empty value was given"));
  check_failure("analyze " + a + " " + (folder / "./a.json").string(), kBadInput, "is given twice");
  check_failure("analyze " + a + " " + (folder / "copy.json").string(), kBadInput,
                "copy.json: is of rank 0, as");
  check_failure("analyze " + (folder / "empty").string(), kBadInput, "is a directory without");
  check_failure("analyze /nowhere.json", kBadInput, "/nowhere.json: ");
}

TEST_CASE("names from traces reach tables printable and whole") {
  const TemporaryFolder folder;
  std::string wide;
  for (int i = 0; i < 50; ++i)
    wide += "\u00b5";
  const auto range = [](const std::string& name) {
    return R"({"ph": "X", "cat": "gpu_user_annotation", "name": ")" + name +
           R"(", "pid": 0, "tid": 7, "ts": 1, "dur": 5},)";
  };
  folder.write("a.json", R"({"schemaVersion": 1, "traceEvents": [)" + range("a\\u001b[31m|\\n") +
                             range("x" + wide + wide) + R"(
    {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 2, "dur": 1,
     "args": {"stream": 7}}]})");
  const ProcessOptions there{.folder = folder.path()};
  const std::string text = output("analyze a.json", there);
  CHECK(has(text, "a?[31m|?"));
  CHECK(has(text, "\u00b5\u2026"));
  CHECK_NOTHROW(json(text).dump());  // it is UTF-8
  CHECK(has(output("analyze a.json --format md", there), "| a?[31m\\|? |"));
  std::filesystem::rename(folder / "a.json", folder / "b\xff.json");
  CHECK(has(output("analyze b\xff.json --format json", there), "b\xEF\xBF\xBD.json"));
}

TEST_CASE("analyze tells what it leaves out of a trace, and the GPUs that it finds") {
  const auto kernel = [](int device, const std::string& start, int duration) {
    const std::string number = std::to_string(device);
    return R"({"ph": "X", "cat": "kernel", "name": "k", "pid": )" + number + R"(, "ts": )" + start +
           R"(, "dur": )" + std::to_string(duration) + R"(, "args": {"device": )" + number +
           R"(, "stream": 7}})";
  };
  const std::string call =
      R"({"ph": "X", "cat": "cuda_runtime", "name": "hipLaunchKernel", "pid": 9, "tid": 9, )"
      R"("ts": 1615207264504000, "dur": 5000, "args": {"stream": "0x0"}})";
  const TemporaryFolder folder;
  folder.write("a.json",
               R"({"schemaVersion": 1, "traceEvents": [)" + kernel(0, "1615207264505000", 100) +
                   "," + kernel(1, "1615207264505100", 100) + "," +
                   kernel(0, "1615207264505000", -5) + "," + kernel(1, "0", 0) + "," + call + "]}");
  const ProcessResult result = run("analyze --format json a.json", {.folder = folder.path()});
  CHECK(result.exit_code == 0);
  CHECK(has(result.err,
            "a.json: leaves out 1 of 5 events, the first /traceEvents/2/dur: is below 0"));
  CHECK(has(result.err, "a.json: leaves out 1 events at time 0"));
  CHECK(
      has(result.err, "has events of 2 GPUs, and each is a rank: device 0 is rank 0, device 1 is"));
  const json ranks = json::parse(result.out)["ranks"];
  REQUIRE(ranks.size() == 2);
  for (std::size_t device = 0; device < 2; ++device) {
    CHECK(ranks[device]["device"] == device);
    CHECK(ranks[device]["rank"] == device);
    CHECK(ranks[device]["window_ns"] == 200'000);
    CHECK(ranks[device]["busy_ns"] == 100'000);
    CHECK(ranks[device]["idle_ns"] == 100'000);
    CHECK(ranks[device]["streams"].size() == 1);
  }
}

TEST_CASE("a folder may hold other files beside its traces") {
  const TemporaryFolder folder;
  write_ranks(folder);
  folder.write("meta.json", R"({"model": "x"})");
  const ProcessResult result = run("analyze --format json " + folder.path().string());
  CHECK(result.exit_code == 0);
  CHECK(json::parse(result.out)["ranks"].size() == 2);
  CHECK(has(result.err, "leaves out 1 files that are no traces, the first "));
  CHECK(has(result.err, "meta.json: expected a trace"));
  check_failure("analyze " + (folder / "a.json").string() + " " + (folder / "meta.json").string(),
                kBadInput, "meta.json: expected a trace");
}

}  // namespace bubblescope

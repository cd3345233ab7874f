// `calibrate INPUT…` as scripts see it: from a run that was measured to costs that give it back.
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kCosts =
    " --forward 10us --input-grad 11us --weight-grad 8us --overlapped 27us --p2p 1us";

void check_failure(const std::string& line, int exit_code, const std::string& says,
                   const TemporaryFolder& folder) {
  const ProcessResult result = run(line, {.folder = folder.path()});
  CHECK_MESSAGE(result.exit_code == exit_code, line << "\n" << result.err);
  CHECK_MESSAGE(has(result.err, says), line << "\n" << result.err);
  CHECK(result.out.empty());
}

/// A run of 1F1B on 2 ranks with 2 micro-batches, F 10 µs, I 11, W 8, a hop 1, in two steps, as
/// PyTorch's profiler has it; moments are those of the host's clock.
std::string trace(const json& timeline, int rank, const std::string& category) {
  json events = json::array({{{"ph", "M"}, {"name", "process_name"}, {"pid", rank}}});
  for (int step = 0; step < 2; ++step)
    for (const json& each : timeline["actions"])
      if (each["rank"] == rank) {
        const std::int64_t start = each["start_ns"].get<std::int64_t>() + 1'000'000 * step;
        const std::int64_t length =
            each["end_ns"].get<std::int64_t>() - each["start_ns"].get<std::int64_t>();
        events.push_back({{"ph", "X"},
                          {"cat", category},
                          {"name", "PP:" + each["action"].get<std::string>()},
                          {"pid", rank},
                          {"tid", 7},
                          {"ts", 1724152123456789 + start / 1000},
                          {"dur", static_cast<double>(length) / 1e3}});
      }
  events.push_back(
      {{"ph", "X"}, {"cat", "cpu_op"}, {"name", "PP:1RECV_F0"}, {"ts", 0}, {"dur", 1}});
  for (int step = 0; step < 2; ++step)
    events.push_back({{"ph", "X"},
                      {"cat", "user_annotation"},
                      {"name", "ProfilerStep#" + std::to_string(step + 5)},
                      {"ts", step},
                      {"dur", 1}});
  return json{{"traceEvents", events}}.dump();
}

json timeline_of(const std::string& shape, const TemporaryFolder& folder) {
  REQUIRE(
      run("replay " + shape + kCosts + " -o measured.json", {.folder = folder.path()}).exit_code ==
      0);
  return json::parse(contents(folder / "measured.json"));
}

}  // namespace

TEST_CASE("costs from a replayed timeline give its step back") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  for (const std::string shape :
       {"1f1b -p 4 -m 8", "zb-h1 -p 4 -m 8", "zb-v -p 4 -m 8", "interleaved-1f1b -p 4 -m 8 -v 2",
        "dualpipe -p 4 -m 8", "dualpipev -p 4 -m 8", "chimera -p 4 -m 8",
        "1f1b -p 4 -m 8 --comm stream", "dualpipe -p 4 -m 8 --comm batched",
        "zb-h1 -p 4 -m 8 --comm torch", "zb-auto -p 4 -m 8"}) {
    const ProcessResult replay = run("replay " + shape + kCosts + " -o measured.json", there);
    REQUIRE_MESSAGE(replay.exit_code == 0, shape << "\n" << replay.err);
    const json measured = json::parse(contents(folder / "measured.json"));
    const json shown =
        json::parse(output("calibrate measured.json --format json -o costs.json", there));
    CHECK_MESSAGE(shown["measured_step_ns"] == measured["step_time_ns"], shape);
    CHECK_MESSAGE(shown["by_costs_ns"] == measured["step_time_ns"], shape);
    CHECK_MESSAGE(shown["latency_by_actions_ns"] == 1000, shape);
    CHECK_MESSAGE(shown["latency_ns"] == 1000, shape);
    if (!shape.starts_with("zb-auto")) {
      const json again =
          json::parse(output("simulate " + shape + " --costs costs.json --format json", there));
      CHECK_MESSAGE(again["step_time_ns"] == measured["step_time_ns"], shape);
    }
  }
}

TEST_CASE("a run longer than costs may be is refused, whatever tells it") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  json timeline = timeline_of("1f1b -p 2 -m 2", folder);
  const auto lengthen = [&](std::int64_t end) {
    for (json& each : timeline["actions"])
      if (each["action"] == "1B1" || each["action"] == "0B1")
        each["end_ns"] = end;
    folder.write("long.json", timeline.dump());
  };
  for (const std::int64_t end : {2'000'000'000'000'000, 9'000'000'000'000'000'000}) {
    lengthen(end);
    check_failure("calibrate long.json -o costs.json", kBadInput,
                  "expected at most 1000000000000000 ns", folder);
  }
  lengthen(1'000'000'000'000'000);
  CHECK(run("calibrate long.json -o costs.json", there).exit_code == 0);
  CHECK(run("costs -p 2 --costs costs.json", there).exit_code == 0);
  json events = json::array();
  for (const auto& [name, start, length] :
       {std::tuple("PP:0F0", -4e12, 1.0), {"PP:0B0", 1, 3.9e15}})
    events.push_back({{"ph", "X"},
                      {"cat", "user_annotation"},
                      {"name", name},
                      {"ts", start},
                      {"dur", length},
                      {"pid", 0},
                      {"tid", 0}});
  folder.write("trace.json", events.dump());
  check_failure("calibrate trace.json", kBadInput, "expected at most", folder);
}

TEST_CASE("traces with PyTorch's ranges become costs, of the GPU where it has some") {
  const TemporaryFolder folder;
  const json timeline = timeline_of("zb-h1 -p 2 -m 4", folder);
  const ProcessOptions there = {.folder = folder.path()};
  for (const std::string category : {"gpu_user_annotation", "user_annotation"}) {
    folder.write("b.json", trace(timeline, 0, category));
    folder.write("a.json", trace(timeline, 1, category));
    const ProcessResult result = run("calibrate a.json b.json --format json -o costs.json", there);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    CHECK(has(result.err, "ranges of the host alone") == (category == "user_annotation"));
    const json shown = json::parse(result.out);
    CHECK(shown["steps"] == 2);
    CHECK(shown["per_step"][1]["step"] == "ProfilerStep#6");
    CHECK(shown["latency_ns"] == 1000);
    const json costs = json::parse(contents(folder / "costs.json"));
    REQUIRE(costs["stages"].size() == 2);
    CHECK(costs["stages"][1]["forward_us"] == 10);
    CHECK(costs["stages"][1]["input_grad_us"] == 11);
    CHECK(costs["stages"][1]["weight_grad_us"] == 8);
    CHECK(costs["stages"][1]["backward_us"] == 19);
    CHECK(costs["stages"][0]["backward_us"] == 19);  // rank 0 runs B alone, which is split
    CHECK(costs["stages"][0]["input_grad_us"] == 9.5);
    CHECK(costs["_derivation"]["backward_split"] == true);
  }
  folder.write("c.json", trace(timeline, 0, "user_annotation"));
  check_failure("calibrate b.json c.json a.json", kBadInput, "has stage 0, as ", folder);
  check_failure("calibrate a.json", kBadInput, "a.json", folder);
  check_failure("calibrate a.json b.json --schedule 1f1b", kBadInput,
                "1B0 is missing, which the schedule runs", folder);
  folder.write("none.json", R"([{"ph": "X", "name": "ProfilerStep#1", "ts": 1, "dur": 1}])");
  check_failure("calibrate none.json", kBadInput,
                "its ProfilerStep ranges say when steps are, not what is done in them", folder);
  folder.write("odd.json", R"([{"ph": "X", "name": "PP:what", "ts": 1, "dur": 1}])");
  check_failure("calibrate odd.json", kBadInput, "odd.json: range 'PP:what'", folder);
  std::string cut = trace(timeline, 0, "user_annotation");
  cut.replace(cut.rfind("PP:0F3"), 6, "PP:0F9");
  folder.write("cut.json", cut);
  check_failure("calibrate cut.json a.json", kBadInput,
                "cut.json, process 0: 0F3 ran 1 times, and 2 steps were begun", folder);
}

TEST_CASE("what does not go together is refused, and faults are named") {
  const TemporaryFolder folder;
  timeline_of("1f1b -p 2 -m 4", folder);
  check_failure("calibrate measured.json -p 2", kUsage, "--ranks does not go with INPUT", folder);
  check_failure("calibrate measured.json --real-time", kUsage, "does not go with INPUT", folder);
  check_failure("calibrate -p 2 --real-time --schedule 1f1b", kUsage, "goes with INPUT", folder);
  check_failure("calibrate measured.json --schedule 1f1c", kUsage, "1f1b", folder);
  check_failure("calibrate measured.json --schedule zb-auto", kUsage, "depends on the costs",
                folder);
  check_failure("calibrate measured.json --group-size 4", kUsage, "--group-size", folder);
  check_failure("calibrate measured.json --warm-ups 1", kBadInput, "1 step, and 1 are left out",
                folder);
  check_failure("calibrate measured.json -o measured.json", kUsage, "measured.json", folder);
  check_failure("calibrate nowhere.json", kBadInput, "nowhere.json", folder);
  check_failure("calibrate measured.json measured.json", kBadInput, "measured.json: is given twice",
                folder);
  check_failure("calibrate measured.json ./measured.json", kBadInput,
                "./measured.json: is given twice", folder);
  check_failure("calibrate measured.json --schedule gpipe", kBadInput, "comes first in gpipe",
                folder);
  json other = json::parse(contents(folder / "measured.json"));
  other["actions"][0]["start_ns"] = nullptr;
  folder.write("other.json", other.dump());
  check_failure("calibrate other.json", kBadInput, "other.json: /actions/0/start_ns", folder);
  other["actions"][0]["start_ns"] = 1'000'000'000;
  folder.write("other.json", other.dump());
  check_failure("calibrate other.json", kBadInput, "/actions/0/end_ns: comes before start_ns",
                folder);
  other["actions"][0]["start_ns"] = 0;
  other["ranks"] = 3;
  folder.write("other.json", other.dump());
  check_failure("calibrate other.json", kBadInput, "has none of rank 2, and /ranks says 3", folder);
  other["schedule"] = "gpipe";
  folder.write("other.json", other.dump());
  check_failure("calibrate measured.json other.json", kBadInput, "other.json: is of gpipe", folder);
  std::filesystem::create_directory(folder / "empty");
  check_failure("calibrate empty", kBadInput, "empty: has neither", folder);
  folder.write("pp_rank_0.json", "{}");
  check_failure("calibrate pp_rank_0.json", kBadInput, "config.json", folder);
  check_failure("calibrate measured.json pp_rank_0.json", kBadInput,
                "pp_rank_0.json: is a dump of Primus", folder);
}

TEST_CASE("a folder of Primus dumps becomes costs in one command") {
  const auto folder = reference("primus-1f1b");
  if (folder.empty())
    return;
  const TemporaryFolder out;
  const ProcessOptions there = {.folder = out.path()};
  const std::string shown = output("calibrate " + folder.string() + " -o costs.json", there);
  CHECK(has(shown, "outlying steps: iteration 16 (+6.77 %), iteration 18 (+7.70 %)"));
  const json costs = json::parse(contents(out / "costs.json"));
  CHECK(costs["ranks"] == 8);
  const json step =
      json::parse(output("simulate 1f1b -p 8 -m 16 --costs costs.json --format json", there));
  const double error =
      step["step_time_ns"].get<double>() / costs["_derivation"]["measured_step_ns"].get<double>() -
      1;
  CHECK(std::abs(error) < 1e-6);
  const auto rows = lines(output("calibrate " + folder.string() + " --format csv", there));
  CHECK(rows.size() == 17);
  CHECK(rows[0] == "stage,op,count,median_ns,q1_ns,q3_ns,outliers,farthest_ns,farthest\r");
  CHECK(has(output("calibrate " + folder.string() + " --format md", there), "| stage |"));
}

}  // namespace bubblescope

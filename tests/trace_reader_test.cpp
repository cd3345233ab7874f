// Traces of GPUs from files: any size, exact times, and clear words for what is wrong.
#include "analysis/gpu_trace/trace_reader.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include "analysis/gpu_trace/trace_scanner.h"
#include "sim/base/error.h"
#include "tests/support/command.h"
#include "tests/support/effort.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"
#include "tests/support/traces.h"

namespace bubblescope {
namespace {

using namespace traces;

std::string packed(const std::string& text) {
  const TemporaryFolder folder;
  gzFile file = gzopen((folder / "x.gz").c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return contents(folder / "x.gz");
}

}  // namespace

TEST_CASE("a profiler's trace gives kernels, their launches, steps and ranges") {
  const std::string events =
      event({"void gemm(\\\"a\\\", {[)", "1724152123456789.123", "601.5", 23, 5}) + ",\n" +
      launch(5, "1724152123456780") + "," +
      event({"Memcpy HtoD", "1724152123456000.001", "\"0.5\"", 7, 6, "gpu_memcpy"}) +
      R"(, {"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#12", "pid": 9, "tid": 9,
            "ts": 1724152123450000, "dur": 10000, "args": {}},
          {"ph": "X", "cat": "gpu_user_annotation", "name": "PP:0F3", "pid": 0, "tid": 23,
            "ts": 1724152123456789, "dur": 700},
          {"ph": "X", "cat": "cuda_sync", "name": "Stream Sync", "pid": 0, "tid": 7, "ts": 1,
            "dur": 1e15, "args": {"stream": 7}},
          {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 9, "tid": 9, "ts": NaN,
            "dur": -3, "args": {"blocks per SM": Infinity}},
          {"ph": "i", "name": "Record Window End", "ts": null})";
  for (const std::string& text : {kineto(events), "\xEF\xBB\xBF \n" + kineto(events) + "\n"})
    for (const bool is_packed : {false, true}) {
      const Read all = read({is_packed ? packed(text) : text});
      REQUIRE(all.traces.ranks.size() == 1);
      const RankTrace& rank = all.rank();
      CHECK(rank.rank == 3);
      CHECK(rank.streams == std::vector<std::string>{"7", "23"});
      REQUIRE(rank.events.size() == 2);
      CHECK(rank.events[0].start.count() == 1724152123456000001);
      CHECK(rank.events[0].end.count() == 1724152123456000501);
      CHECK(rank.events[0].launch == GpuEvent::kNoLaunch);
      CHECK(all.names.kernel_class(rank.events[0].name) == KernelClass::Memory);
      CHECK(rank.events[1].start.count() == 1724152123456789123);
      CHECK(rank.events[1].end.count() == 1724152123457390623);
      CHECK(rank.events[1].launch.count() == 1724152123456780000);
      CHECK(rank.streams[rank.events[1].stream] == "23");
      CHECK(all.names.text(rank.events[1].name) == "void gemm(\"a\", {[)");
      REQUIRE(rank.steps.size() == 1);
      CHECK(rank.steps[0].number == 12);
      REQUIRE(rank.ranges.size() == 1);
      CHECK(rank.streams[rank.ranges[0].stream] == "23");
      CHECK(all.traces.notes.empty());
    }
}

TEST_CASE("traces longer than any window are read as a parser of the whole reads them") {
  for (const std::uint32_t seed : {1U, 2U, 3U}) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t limit) {
      return static_cast<std::uint32_t>(random() % limit);
    };
    nlohmann::ordered_json json = {{"schemaVersion", 1}, {"traceEvents", nlohmann::json::array()}};
    const std::string odd[] = {"\\", "\"", "]}", "{[", "µs", "\n", "plain", "\\\"]"};
    for (int i = 0; i < 4000; ++i) {
      std::string name = "k";
      for (std::uint32_t n = below(12); n > 0; --n)
        name += odd[below(8)];
      if (below(500) == 0)
        name += std::string(400'000, '\\');
      json["traceEvents"].push_back({{"ph", "X"},
                                     {"cat", "kernel"},
                                     {"name", name},
                                     {"ts", below(1'000'000)},
                                     {"dur", below(1000)},
                                     {"args", {{"stream", below(4)}, {"x", odd[below(8)]}}}});
    }
    const Read all = read({json.dump(seed == 1 ? -1 : 1)});
    std::multiset<std::tuple<std::int64_t, std::int64_t, std::string>> wanted, found;
    for (const auto& each : json["traceEvents"])
      wanted.emplace(1000 * each["ts"].get<std::int64_t>(), 1000 * each["dur"].get<std::int64_t>(),
                     each["name"]);
    for (const GpuEvent& each : all.rank().events)
      found.emplace(each.start.count(), (each.end - each.start).count(), all.names.text(each.name));
    CHECK(found == wanted);
    CHECK(std::is_sorted(all.rank().events.begin(), all.rank().events.end(),
                         [](const GpuEvent& a, const GpuEvent& b) { return a.start < b.start; }));
  }
}

TEST_CASE("an array of events may lack its end, as Chrome's format lets it") {
  for (const char* end : {"", ",", " \n", ",\n"}) {
    const Read all = read({"[" + event({}) + "," + event({.start = "5"}) + end});
    CHECK(all.rank().events.size() == 2);
    CHECK(has_note(all, "has no end"));
  }
  CHECK(read({"[" + event({}) + ",]"}).rank().events.size() == 1);
  CHECK(complaint("[" + event({}) + ", {\"ph\"") == "ends early, in event 1");
}

TEST_CASE("what is wrong in a trace is told with its place") {
  const std::string good = event({});
  const std::string whole = kineto(good + "," + good);
  CHECK(complaint("") == "is empty");
  CHECK(complaint(" \n") == "is empty");
  CHECK(complaint("hello") == "expected a trace: an array of events, or \"traceEvents\"");
  CHECK(complaint("{}") == "expected a trace: an array of events, or \"traceEvents\"");
  CHECK(complaint(R"({"a": [1, {"b": "]"}], "c": 3})") ==
        "expected a trace: an array of events, or \"traceEvents\"");
  CHECK(complaint(R"({"traceEvents": {}})") == "/traceEvents: expected an array");
  CHECK(has(complaint("[]"), "has no slices"));
  CHECK(has(complaint(kineto("")), "has no events of a GPU"));
  CHECK(has(complaint("[1, 2]"), "expected an event"));
  CHECK(has(complaint("[" + good + " " + good + "]"), "expected ',' or ']' behind event 1"));
  CHECK(has(complaint(kineto(good + ",")), "expected an event behind event 1, got ']'"));
  CHECK(complaint(whole + "x") == "expected nothing behind the trace, got 'x'");
  for (std::size_t length = 1; length < whole.size(); length += 7) {
    CAPTURE(length);
    const std::string what = complaint(whole.substr(0, length));
    CHECK_MESSAGE(has(what, "ends early"), what);
  }
  const std::string zipped = packed(whole);
  CHECK(complaint(zipped.substr(0, zipped.size() / 2), "t.json.gz") == "the packed data end early");
  CHECK(has(complaint(kineto(R"({"ph": "X", "args": {"stream": 1}})")), "/traceEvents/0/name"));
  CHECK(has(complaint(kineto(R"({"ph": "X", "name": "a", "ts": 1, "args": {"stream": 1}})")),
            "/traceEvents/0/dur: is missing"));
  CHECK(has(complaint(kineto(good + R"(, {"ph" 3})")), "/traceEvents/1: "));
  CHECK(has(complaint(kineto(good, R"({"rank": -1})")), "/distributedInfo/rank"));
  CHECK(has(complaint(kineto(event({.name = "\xff\xfe"}))), "UTF-8"));
}

TEST_CASE("values too deep or too large are refused within bounds") {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  CHECK(complaint(deep) == "expected an event behind event 0, got '['");
  CHECK(complaint("{\"a\": " + deep + "}") == "nests deeper than 1000 in \"a\"");
  CHECK(complaint("[{\"args\": " + deep + "}]") == "nests deeper than 1000 in event 0");
  CHECK(complaint("[" + event({}) + ", {\"a\": " + std::string(100'000, '{')) ==
        "nests deeper than 1000 in event 1");
  CHECK(has(complaint("[{\"name\": \"" + std::string(TraceScanner::kMostBytes + 100, 'x')),
            "a value has more than 64 MiB in event 0"));
  CHECK(has(complaint(packed(std::string(std::size_t{80} << 20, ' ')), "t.json.gz"),
            "unpacks to more than 250 times its size"));
  const TemporaryFolder folder;
  KernelNames names;
  CHECK_THROWS_AS(read_traces({folder.path().string()}, names), Error);
  CHECK_THROWS_AS(read_traces({"/nowhere.json"}, names), Error);
}

TEST_CASE("ranks are as traces tell, else as files are given, and no two are the same") {
  const std::string other = kineto(event({}), R"({"world_size": 2})");
  const Read told = read({kineto(event({}), R"({"rank": 5})"), kineto(event({}))});
  CHECK(told.rank(0).rank == 3);
  CHECK(told.rank(1).rank == 5);
  const Read counted = read({other, other});
  CHECK(counted.rank(0).rank == 0);
  CHECK(counted.rank(1).rank == 1);
  try {
    read({kineto(event({})), kineto(event({}))});
    FAIL("two traces of one rank were taken");
  } catch (const Error& error) {
    CHECK(has(error.what(), "1t.json: is of rank 3, as "));
    CHECK(has(error.what(), "0t.json: one trace a rank is expected"));
  }
}

TEST_CASE("files of unknown rank take the ranks that no other has, and none is given twice") {
  const std::string unknown = kineto(event({}), R"({"world_size": 2})");
  const Read all = read(
      {unknown, kineto(event({}), R"({"rank": 0})"), unknown, kineto(event({}), R"({"rank": 2})")});
  REQUIRE(all.traces.ranks.size() == 4);
  for (std::size_t rank = 0; rank < 4; ++rank)
    CHECK(all.rank(rank).rank == static_cast<std::int64_t>(rank));
  CHECK(has(all.rank(1).place, "0t.json"));
  CHECK(has(all.rank(3).place, "2t.json"));
  const TemporaryFolder folder;
  folder.write("a.json", unknown);
  KernelNames names;
  CHECK_THROWS_WITH_AS(
      read_traces({(folder / "a.json").string(), (folder / "./a.json").string()}, names),
      doctest::Contains("a.json: is given twice"), Error);
}

TEST_CASE("threads that are named behind a GPU's events cost nothing") {
  const std::string host = R"({"ph": "X", "name": "a", "pid": 1, "tid": 5, "ts": 1, "dur": 1},)";
  const std::string named =
      R"({"ph": "M", "name": "thread_name", "pid": 1, "tid": 5, "args": {"name": "main"}})";
  const Read all = read({"[" + host + event({}) + "," + named + "]"});
  REQUIRE(all.traces.ranks.size() == 1);
  CHECK(all.rank().events.size() == 1);
}

TEST_CASE("null is as if absent, and ranges find the stream of kernels without a device") {
  const Read all =
      read({kineto(event({}) +
                   R"(, {"ph": "X", "name": "op", "pid": 1, "tid": 1, "ts": 1, "dur": 9,
           "args": {"stream": null}},
          {"ph": "X", "cat": "kernel", "name": "b", "pid": 4, "tid": 9, "ts": 20, "dur": 1,
           "args": {"stream": 9, "device": null, "correlation": null}},
          {"ph": "X", "cat": "gpu_user_annotation", "name": "fw", "pid": 4, "tid": 9, "ts": 20,
           "dur": 1})")});
  const auto with_range = std::find_if(all.traces.ranks.begin(), all.traces.ranks.end(),
                                       [](const RankTrace& rank) { return !rank.ranges.empty(); });
  REQUIRE(with_range != all.traces.ranks.end());
  CHECK(with_range->device == "4");
  CHECK(with_range->events.size() == 1);
  CHECK(with_range->streams.at(with_range->ranges.at(0).stream) == "9");
}

TEST_CASE("half a surrogate pair in a name is replaced") {
  const Read all = read({kineto(event({.name = "a\\ud83d"}) + "," +
                                event({.name = "\\ude00b\\\\ud83d", .start = "3"}) + "," +
                                event({.name = "\\ud83d\\ude00", .start = "5"}))});
  const auto& events = all.rank().events;
  CHECK(all.names.text(events.at(0).name) == "a\xEF\xBF\xBD");
  CHECK(all.names.text(events.at(1).name) ==
        "\xEF\xBF\xBD"
        "b\\ud83d");
  CHECK(all.names.text(events.at(2).name) == "\xF0\x9F\x98\x80");
}

TEST_CASE("a member without a value is refused") {
  CHECK(complaint(R"({"a":, "traceEvents": []})") == "expected a value in \"a\", got ','");
  CHECK(complaint(R"({"traceEvents": [], "a": })") == "expected a value in \"a\", got '}'");
  CHECK(complaint(R"({"distributedInfo":, "traceEvents": []})") ==
        "expected a value in \"distributedInfo\", got ','");
}

TEST_CASE("overlapping slices and broken flows are told and keep nothing from being read") {
  const Read all = read(
      {kineto(event({.start = "1", .duration = "5"}) + "," + event({.name = "late", .start = "3"}) +
              "," + event({.start = "3", .stream = 8}) +
              R"(, {"ph": "s", "id": 1, "cat": "ac2g", "ts": 1},
                  {"ph": "f", "id": 1, "cat": "ac2g", "ts": 1},
                  {"ph": "f", "id": 2, "cat": "ac2g", "ts": 1},
                  {"ph": "s", "id": 2, "cat": "fwdbwd", "ts": 1},
                  {"ph": "f", "id": 3, "cat": "ac2g", "ts": 1})")});
  CHECK(has_note(all,
                 "1 of 3 slices begin before one ahead of them on their stream ends, the "
                 "first 'late' on stream 7 at 3.000 µs"));
  CHECK(has_note(all,
                 "1 starts without an end and 2 ends without a start, the first "
                 "/traceEvents/5"));
  CHECK(all.rank().events.size() == 3);
  CHECK(read({kineto(event({.start = "1"}) + "," + event({.start = "2"}))}).traces.notes.empty());
}

TEST_CASE("a trace of Chrome's format without a GPU has processes for ranks") {
  const std::string text = R"([
    {"ph": "X", "name": "outer", "pid": 4, "tid": "b", "ts": 0, "dur": 10},
    {"ph": "X", "name": "inner", "pid": 4, "tid": "b", "ts": 2, "dur": 3},
    {"ph": "X", "name": "ncclKernel_x", "pid": 4, "tid": 1, "ts": 5, "dur": 10},
    {"ph": "X", "name": "outer", "pid": 2, "tid": 1, "ts": 1.5, "dur": 1},
    {"ph": "B", "name": "begun", "pid": 2, "tid": 1, "ts": 7},
    {"ph": "B", "name": "in it", "pid": 2, "tid": 1, "ts": 7.5},
    {"ph": "B", "name": "elsewhere", "pid": 2, "tid": 3, "ts": 7},
    {"ph": "E", "pid": 2, "tid": 1, "ts": 8},
    {"ph": "E", "pid": 2, "tid": 1, "ts": 9},
    {"ph": "E", "pid": 2, "tid": 1, "ts": 9}])";
  const Read all = read({text});
  REQUIRE(all.traces.ranks.size() == 2);
  CHECK(all.rank(0).rank == 2);
  CHECK(all.rank(1).rank == 4);
  CHECK(all.rank(1).streams == std::vector<std::string>{"thread 1", "thread b"});
  CHECK(all.rank(1).events.size() == 3);
  CHECK(has_note(all, "takes processes for ranks, threads for streams"));
  REQUIRE(all.rank(0).events.size() == 3);
  CHECK(all.names.text(all.rank(0).events[1].name) == "begun");
  CHECK(all.rank(0).events[1].end == Time(9000));
  CHECK(all.rank(0).events[2].end == Time(8000));
  CHECK(has_note(all, "leaves out 2 \"B\" or \"E\" events without the other"));
  CHECK(has(complaint(R"([{"ph": "B", "name": "a", "pid": 1, "tid": 1, "ts": 5},
                          {"ph": "E", "pid": 1, "tid": 1, "ts": 4}])"),
            "/1/ts: is below 0: time goes backwards"));
}

TEST_CASE("a trace of ours has actions and messages, at both ends, and no bubbles") {
  const auto thread = [](int process, int id, const std::string& name) {
    return fmt::format(R"({{"ph": "M", "pid": {}, "tid": {}, "name": "thread_name", )"
                       R"("args": {{"name": "{}"}}}},)",
                       process, id, name);
  };
  const std::string text = R"({"otherData": {"schedule": "1f1b"}, "traceEvents": [)" +
                           thread(0, 1, "actions, predicted") + thread(0, 2, "actions, measured") +
                           thread(1, 2, "actions, measured") + thread(1, 3, "bubbles, measured") +
                           thread(1, 4, "activations from rank 0") + thread(2, 2, "actions") + R"(
    {"ph": "X", "name": "F0", "pid": 0, "tid": 1, "ts": 0, "dur": 50},
    {"ph": "X", "name": "F0", "pid": 0, "tid": 2, "ts": 0, "dur": 10},
    {"ph": "X", "name": "waits", "pid": 1, "tid": 3, "ts": 0, "dur": 12},
    {"ph": "X", "name": "act 0", "pid": 1, "tid": 4, "ts": 10, "dur": 2},
    {"ph": "X", "name": "F0", "pid": 1, "tid": 2, "ts": 12, "dur": 10}]})";
  const Read all = read({text});
  REQUIRE(all.traces.ranks.size() == 2);  // the third has nothing
  for (std::size_t rank = 0; rank < 2; ++rank) {
    REQUIRE(all.rank(rank).events.size() == 2);
    const GpuEvent& message = all.rank(rank).events[rank == 0 ? 1 : 0];
    CHECK(all.names.kernel_class(message.name) == KernelClass::Communication);
    CHECK(message.start == Time(10000));
  }
  CHECK(all.rank(0).streams ==
        std::vector<std::string>{"actions, measured", "activations to rank 1"});
  CHECK(all.traces.notes.empty());
}

TEST_CASE("whatever bytes a trace has, it is read or refused") {
  const std::string good =
      kineto(event({}) + "," + launch(1, "0.5") + "," + event({.name = "\\u0041", .start = "9"}) +
             R"(, {"ph": "s", "id": 1, "cat": "ac2g"}, {"ph": "M", "name": "thread_name"})");
  const std::uint32_t seed = 20;
  CAPTURE(seed);
  std::mt19937 random(seed);
  int refused = 0;
  constexpr int kTimes = 1000;
  for (int i = 0; i < kTimes; ++i) {
    std::string text = good;
    for (auto n = 1 + random() % 4; n > 0; --n) {
      const std::size_t at = random() % text.size();
      constexpr std::string_view kBytes = "{}[]\",:\\0-.eE\xff\x00 ";
      const char byte = kBytes[random() % kBytes.size()];
      switch (random() % 3) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        default:
          text.erase(at, 1 + random() % 8);
      }
    }
    refused += complaint(text).empty() ? 0 : 1;
  }
  CHECK(refused > kTimes / 10);
  CHECK(refused < kTimes);
}

TEST_CASE("a trace larger than the memory allowed is read") {
  if (kSanitized)
    return;
  const TemporaryFolder folder;
  const std::string path = (folder / "large.json").string();
  {
    gzFile file = gzopen(path.c_str(), "wbT");  // as it is, unpacked
    const std::string op =
        R"({"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 1, "dur": 1,)"
        R"( "args": {"Input Dims": [[4096, 7168], [7168, 2048]], "External id": 12345678}},)"
        "\n";
    std::string piece;
    while (piece.size() < (std::size_t{1} << 20))
      piece += op;
    const std::string begin = R"({"schemaVersion": 1, "traceEvents": [)";
    gzwrite(file, begin.data(), static_cast<unsigned>(begin.size()));
    for (int i = 0; i < 200; ++i)
      gzwrite(file, piece.data(), static_cast<unsigned>(piece.size()));
    const std::string end = event({.duration = "2.5"}) + "]}";
    gzwrite(file, end.data(), static_cast<unsigned>(end.size()));
    gzclose(file);
  }
  const ProcessResult result =
      run_program({"analyze", path, "--format", "json"}, {.address_space = std::size_t{128} << 20});
  CHECK_MESSAGE(result.exit_code == 0, result.err);
  CHECK(nlohmann::json::parse(result.out)["ranks"][0]["busy_ns"] == 2500);
}

}  // namespace bubblescope

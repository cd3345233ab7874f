// Odd traces, as profilers write them: their figures are right, and what is left out is told.
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/traces.h"

namespace bubblescope {

using namespace traces;

TEST_CASE("what the host does on behalf of a stream is no work of the GPU") {
  for (const char* category :
       {"cpu_op", "Operator", "cuda_runtime", "hip_runtime", "mtia_runtime", "cuda_driver",
        "xpu_driver", "Runtime", "user_annotation", "python_function", "overhead", "cuda_sync"}) {
    CAPTURE(category);
    const Read all = read({kineto(event({.start = "1", .duration = "1"}) + "," +
                                  event({.name = "aten::mm",
                                         .start = "0",
                                         .duration = "5000",
                                         .stream = 0,
                                         .correlation = 2,
                                         .category = category}) +
                                  "," + event({.start = "9", .correlation = 2}))});
    CHECK(all.rank().streams == std::vector<std::string>{"7"});
    CHECK(all.rank().events.size() == 2);
    CHECK(all.rank().events.back().end == Time(10'000));
  }
}

TEST_CASE("kernels, copies and fills are the GPU's by category, others by their stream") {
  const auto bare = [](const std::string& category, int start) {
    return fmt::format(
        R"({{"ph": "X", "cat": "{}", "name": "x", "pid": 0, "tid": 7, "ts": {}, "dur": 1}})",
        category, start);
  };
  const Read all =
      read({kineto(bare("kernel", 1) + "," + bare("Kernel", 2) + "," + bare("Memcpy", 3) + "," +
                   bare("gpu_memset", 4) + "," + bare("unheard_of", 5) + "," +
                   event({.start = "6", .category = "mtia_ccp_events"}))});
  const RankTrace& rank = all.rank();
  CHECK(rank.streams == std::vector<std::string>{"7"});
  std::vector<KernelClass> classes;
  for (const GpuEvent& each : rank.events)
    classes.push_back(all.names.kernel_class(each.name));
  using enum KernelClass;
  CHECK(classes == std::vector{Compute, Compute, Memory, Memory, Compute});
}

TEST_CASE("an event that cannot be is left out, and the first is told with its place") {
  struct Case {
    Kernel kernel;
    const char* says;
  };
  std::vector<Case> cases = {
      {{.start = "NaN"}, "ts: expected a time in µs, got 'NaN'"},
      {{.start = "null"}, "ts: expected a time in µs, got 'null'"},
      {{.duration = "Infinity"}, "dur: expected a time in µs"},
      {{.duration = "-0.001"}, "dur: is below 0: time goes backwards"},
      {{.start = "4e15", .duration = "1"}, "dur: leads past the end of time"},
      {{.name = "bad\\x"}, "name: 'bad\\x' is no JSON string"},
      {{.name = ""}, "name: is missing"},
      {{.start = "soon", .category = "cuda_runtime"}, "ts: expected a time"},
      {{.duration = "-1", .category = "user_annotation"}, "dur: is below 0"}};
  for (const char* huge : {"1e300", "9999999999999999", "999999999999999999999", "4e15.5"})
    cases.push_back({{.start = huge}, "ts: expected a time in µs"});
  const std::string good = event({});
  for (const Case& each : cases) {
    const std::string bad = event(each.kernel);
    const Read all = read({kineto(good + "," + bad + "," + event({.start = "9"}) + "," + bad)});
    CAPTURE(each.says);
    CHECK(all.rank().events.size() == 2);
    CHECK(all.rank().ranges.empty());
    REQUIRE(all.traces.notes.size() == 1);
    const std::string wanted = "0t.json: leaves out 2 of 4 events, the first /traceEvents/1/";
    CHECK(has(all.traces.notes[0], wanted + each.says));
    if (each.kernel.category == "kernel")  // a file that has no other is refused for it
      CHECK(has(complaint(kineto(bad)), std::string("/traceEvents/0/") + each.says));
  }
}

TEST_CASE("a file without an event of the GPU is refused for the first that was one") {
  const std::string range = event({.duration = "-4", .category = "user_annotation"});
  const std::string kernel = event({.duration = "-5"});
  CHECK(complaint(kineto(range + "," + kernel)) ==
        "/traceEvents/1/dur: is below 0: time goes backwards");
}

TEST_CASE("slices that cannot be keep their threads' other slices as they are") {
  const auto slice = [](const char* phase, const char* start, int thread = 1) {
    return fmt::format(R"({{"ph": "{}", "name": "n", "pid": 1, "tid": {}, "ts": {}}},)", phase,
                       thread, start);
  };
  // A begin of unknown time has an end all the same.
  const Read all = read({"[" + slice("B", "1") + slice("B", "null") + slice("E", "5") +
                         slice("E", "9") + slice("B", "20", 2) + slice("E", "18", 2) + "]"});
  REQUIRE(all.rank().events.size() == 1);
  CHECK(all.rank().events[0].start == Time(1000));
  CHECK(all.rank().events[0].end == Time(9000));
  CHECK(has_note(all, "leaves out 2 of 6 events, the first /traceEvents/1/ts: expected a time"));
  // Threads that are named badly do not come into one another.
  const Read named = read({R"([{"ph": "X", "name": "a", "pid": 1, "tid": "\x", "ts": 1, "dur": 1},
                               {"ph": "X", "name": "b", "pid": 1, "tid": "\x", "ts": 2, "dur": 1},
                               {"ph": "X", "name": "c", "pid": 1, "tid": 3, "ts": 3, "dur": 1}])"});
  CHECK(named.rank().events.size() == 1);
  CHECK(has_note(named, "leaves out 2 of 3 events, the first /traceEvents/0/tid: '\\x' is no"));
}

TEST_CASE("durations that cannot be summed are refused") {
  std::string events;
  for (int i = 0; i < 3; ++i)
    events += event({.start = "5", .duration = "2e15"}) + ",";
  CHECK(complaint("[" + events + "]") == "its durations sum to more than can be counted");
}

TEST_CASE("events at time 0 that are far from all others have no time") {
  const std::string first = "1615207264505000";  // µs since 1970
  const std::string rest = event({.start = first, .duration = "100"}) + "," +
                           event({.start = "1615207264505200", .duration = "50", .correlation = 2});
  const std::string none = "," + event({.start = "0", .duration = "0"});
  for (const std::string& events : {rest + none + none, none.substr(1) + none + "," + rest}) {
    const Read all = read({kineto(events)});
    CHECK(all.rank().events.size() == 2);
    CHECK(all.rank().events.front().start == Time(1615207264505000000));
    CHECK(has_note(all,
                   "0t.json: leaves out 2 events at time 0, which stands for none: the others "
                   "begin at 1615207264505000.000 µs"));
    CHECK(all.traces.notes.size() == 1);
  }
  // An end without a start lasts from 0 on; three of them are more than can be counted.
  std::string ends = rest;
  for (int i = 0; i < 3; ++i)
    ends += "," + event({.start = "0", .duration = "1615207264505090"});
  CHECK(read({kineto(ends)}).rank().events.size() == 2);
  // Launches, steps and ranges without a time are not known.
  const Read host = read({kineto(
      rest + "," + launch(2, "0") +
      R"(, {"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#1", "pid": 9, "tid": 9,
            "ts": 0, "dur": 0},
          {"ph": "X", "cat": "user_annotation", "name": "r", "pid": 9, "tid": 9,
            "ts": 0, "dur": 1615207264505090})")});
  CHECK(host.rank().events.back().launch == GpuEvent::kNoLaunch);
  CHECK(host.rank().steps.empty());
  CHECK(host.rank().ranges.empty());
  CHECK(has_note(host, "leaves out 3 events at time 0"));
  // Threads' slices are alike.
  const Read slices = read({R"([{"ph": "X", "name": "a", "pid": 1, "tid": 1, "ts": 0, "dur": 0},
      {"ph": "X", "name": "b", "pid": 1, "tid": 1, "ts": 1615207264505000, "dur": 9}])"});
  CHECK(slices.rank().events.size() == 1);
  CHECK(has_note(slices, "leaves out 1 events at time 0"));
}

TEST_CASE("a trace that begins at 0 keeps all that it has") {
  struct Case {
    const char* duration;  // of the event at 0
    const char* next;      // begins then, and lasts a second
    std::size_t events;
  };
  const char* kHour = "3600000000";
  const char* kYear = "31536000000000";
  for (const Case& each :
       {Case{"0", "0", 2}, Case{"0", "59000000", 2}, Case{"0", "61000000", 1}, Case{"0", kHour, 1},
        Case{"5", "0", 2}, Case{"5", kHour, 2}, Case{"5", "86399000000", 2}, Case{"5", kYear, 1},
        Case{"0", "-61000000", 2}}) {
    CAPTURE(each.duration);
    CAPTURE(each.next);
    const Read all =
        read({kineto(event({.start = "0", .duration = each.duration}) + "," +
                     event({.start = each.next, .duration = "1000000", .stream = 8}))});
    CHECK(all.rank().events.size() == each.events);
    CHECK(all.traces.notes.size() == 2 - each.events);
  }
  // Others that span as much as they are away may well be the rest of it.
  const Read wide = read({kineto(event({.start = "0", .duration = "0"}) + "," +
                                 event({.start = "100000000", .duration = "1"}) + "," +
                                 event({.start = "200000001", .duration = "1"}))});
  CHECK(wide.rank().events.size() == 3);
}

}  // namespace bubblescope

// Traces keep the rules of the viewers, and tell the same figures as the report.
#include "analysis/traces/chrome_trace.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/figures/report.h"
#include "analysis/traces/partial_trace.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"
#include "tests/support/generated.h"
#include "tests/support/process.h"
#include "tests/support/trace_checker.h"

namespace bubblescope {
namespace {

using nlohmann::json;

struct Run {
  DependencyGraph graph;
  Timeline timeline;
};

/// The schedule on the nearest shape that it can have.
Run run(const CatalogueEntry& entry, Shape shape, SimpleCosts costs) {
  while (const auto misfit = find_misfit(entry, shape))
    shape = misfit->nearest;
  Schedule schedule = make_schedule(entry, shape);
  CostModel model(simple_costs(costs), schedule.placement, {});
  DependencyGraph graph =
      build_graph(post_messages(std::move(schedule), Comm::Ideal), std::move(model));
  Timeline timeline = simulate(graph);
  return {std::move(graph), std::move(timeline)};
}

std::string trace_of(const Run& run) {
  std::string text;
  write_chrome_trace(Analysis(run.graph, run.timeline),
                     [&](std::string_view piece) { text += piece; });
  return text;
}

/// The first violations, a line each.
std::string problems(const CheckedTrace& trace, std::size_t most = 5) {
  std::string text;
  for (std::size_t i = 0; i < std::min(most, trace.violations.size()); ++i)
    text += trace.violations[i] + "\n";
  return text;
}

/// Edges between ranks whose ends have room for an arrow's end inside.
std::size_t drawable_messages(const Run& run) {
  const auto& graph = run.graph;
  std::size_t count = 0;
  for (NodeId node = 0; node < graph.size(); ++node)
    for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge) {
      const NodeId producer = graph.producer()[edge];
      const bool crosses = graph.rank()[producer] != graph.rank()[node];
      const Time shorter = std::min(graph.duration()[producer], graph.duration()[node]);
      count += crosses && shorter > Time(1) ? 1U : 0U;
    }
  return count;
}

void check_against_report(const Run& run) {
  CheckedTrace trace = check_trace(trace_of(run));
  CHECK(problems(trace) == "");
  CHECK(trace.arrows == drawable_messages(run));
  for (const RankReport& rank : report(run.graph, run.timeline).per_rank) {
    CHECK(trace.bubble_ns[rank.rank] == rank.idle.count());
    CHECK(trace.actions[rank.rank] == run.graph.schedule().order(rank.rank).size());
  }
}

const SimpleCosts kCosts[] = {
    {.forward = 10'000, .input_grad = 10'000, .weight_grad = 10'000},
    {.forward = 6'001, .input_grad = 7'013, .weight_grad = 5'555, .overlapped = 16'001, .hop = 333},
    {.forward = 2, .input_grad = 1, .weight_grad = 1, .hop = 1},
    {.forward = 5, .input_grad = 7, .weight_grad = 0, .hop = 9},
    {.forward = 0, .input_grad = 7, .weight_grad = 3},
    {.forward = 4, .input_grad = 0, .weight_grad = 0, .hop = 2},
    {.forward = 0, .input_grad = 0, .weight_grad = 0},
};

}  // namespace

TEST_CASE("a trace of every schedule keeps the rules and tells the report's figures") {
  const Shape shapes[] = {{.ranks = 1, .microbatches = 3},
                          {.ranks = 2, .microbatches = 4},
                          {.ranks = 3, .microbatches = 1},
                          {.ranks = 6, .microbatches = 14}};
  for (const CatalogueEntry& entry : generated_schedules())
    for (const Shape& shape : shapes)
      for (const SimpleCosts& costs : kCosts) {
        const Run each = run(entry, shape, costs);
        INFO(entry.name << " on " << shape.ranks << " ranks, costs " << (&costs - kCosts));
        check_against_report(each);
      }
}

TEST_CASE("a trace of a timeline that starts late starts at 0") {
  Run late = run(*find_schedule("1f1b"), {.ranks = 2, .microbatches = 3}, kCosts[1]);
  const std::string on_time = trace_of(late);
  for (Span& span : late.timeline.spans)
    span = {span.start + Time(123'456'789), span.end + Time(123'456'789)};
  CHECK(trace_of(late) == on_time);
}

TEST_CASE("a trace says in exact µs what ran, with which colour") {
  const Run small = run(*find_schedule("1f1b"), {.ranks = 1, .microbatches = 1},
                        {.forward = 1'234'567, .input_grad = 1, .weight_grad = 1});
  const std::string trace = trace_of(small);
  CHECK(trace.find(R"("ph":"X","pid":0,"tid":1,"ts":0.000,"dur":1234.567,"name":"F0")") !=
        std::string::npos);
  CHECK(trace.find(R"("ts":1234.567,"dur":0.002,"name":"B0")") != std::string::npos);
  CHECK(trace.ends_with("]}\n"));
}

TEST_CASE("the traces of the demonstration keep the rules and tell what simulate prints") {
  const TemporaryFolder folder;
  for (const std::string name : {"gpipe", "1f1b", "zb-h1", "zb-h2", "dualpipe"}) {
    CAPTURE(name);
    const std::string file = name + (name == "dualpipe" || name == "1f1b" ? ".json.gz" : ".json");
    const ProcessResult result =
        run_program({"simulate", name, "-p", "16", "-m", "120", "--costs", "deepseek-v3-h800",
                     "--trace", file, "--format", "json"},
                    {.folder = folder.path()});
    REQUIRE(result.exit_code == 0);
    CheckedTrace trace = check_trace(inflated(folder / file));
    CHECK(problems(trace) == "");
    CHECK(trace.arrows == 2 * 15 * 120);  // forward and back over 15 boundaries
    const json figures = json::parse(result.out);
    CHECK(trace.actions.size() == 16);
    for (const json& rank : figures["per_rank"])
      CHECK(trace.bubble_ns[rank["rank"].get<int>()] == rank["idle_ns"].get<std::int64_t>());
  }
}

TEST_CASE("a trace that is compressed inflates to the same bytes") {
  const TemporaryFolder folder;
  for (const std::string file : {"plain.json", "packed.json.gz"}) {
    const ProcessResult result =
        run_program({"simulate", "zb-h2", "-p", "4", "-m", "9", "--forward", "3us", "--input-grad",
                     "4us", "--weight-grad", "2us", "--p2p", "1us", "--trace", file},
                    {.folder = folder.path()});
    REQUIRE(result.exit_code == 0);
  }
  const std::string plain = inflated(folder / "plain.json");
  CHECK(problems(check_trace(plain)) == "");
  CHECK(inflated(folder / "packed.json.gz") == plain);
  CHECK(std::filesystem::file_size(folder / "packed.json.gz") < plain.size() / 2);
}

namespace {

/// The first event of a phase.
json& event(json& trace, const std::string& phase) {
  for (json& each : trace["traceEvents"])
    if (each["ph"] == phase)
      return each;
  throw std::runtime_error("no event of phase " + phase);
}

/// Removes the events of a name.
void remove(json& trace, const std::string& name) {
  json kept = json::array();
  for (const json& each : trace["traceEvents"])
    if (each["name"] != name)
      kept.push_back(each);
  trace["traceEvents"] = kept;
}

void append(json& trace, json event, const std::string& key, json value) {
  event[key] = std::move(value);
  trace["traceEvents"].push_back(std::move(event));
}

struct Broken {
  std::string rule;  ///< What the checker says.
  std::function<void(json&)> harm;
};

const Broken kBroken[] = {
    {"start at",
     [](json& t) {
       for (json& e : t["traceEvents"])
         if (e.contains("ts"))
           e["ts"] = 1 + e["ts"].get<double>();
     }},
    {"start at", [](json& t) { event(t, "X")["ts"] = -1; }},
    {"decimals", [](json& t) { event(t, "X")["dur"] = 9.9995; }},
    {"decimals", [](json& t) { event(t, "X")["dur"] = 1e-7; }},
    {"overlaps", [](json& t) { event(t, "X")["dur"] = 10.001; }},
    {"overlaps", [](json& t) { append(t, event(t, "X"), "dur", 1); }},
    {"shorter one", [](json& t) { append(t, event(t, "X"), "dur", 11); }},
    {"is due", [](json& t) { event(t, "X")["pid"] = 7; }},
    {"count from 1", [](json& t) { event(t, "X")["tid"] = 0; }},
    {"no integer", [](json& t) { event(t, "s")["id"] = "0x1"; }},
    {"starts and", [](json& t) { event(t, "s")["id"] = 99; }},
    {"starts and", [](json& t) { append(t, event(t, "f"), "cat", "message"); }},
    {"does not bind", [](json& t) { event(t, "f").erase("bp"); }},
    {"does not bind", [](json& t) { event(t, "f")["bp"] = "s"; }},
    {"not inside", [](json& t) { event(t, "s")["ts"] = 10; }},
    {"not inside", [](json& t) { event(t, "f")["ts"] = 20; }},
    {"not inside", [](json& t) { event(t, "f")["tid"] = 3; }},
    {"before it starts", [](json& t) { event(t, "f")["ts"] = 0.5; }},
    {"ends as", [](json& t) { event(t, "f")["name"] = "other"; }},
    {"process_name", [](json& t) { remove(t, "process_name"); }},
    {"process_sort_index", [](json& t) { remove(t, "process_sort_index"); }},
    {"thread_name", [](json& t) { remove(t, "thread_name"); }},
    {"thread_sort_index", [](json& t) { remove(t, "thread_sort_index"); }},
    {"given 2 times", [](json& t) { append(t, event(t, "M"), "pid", 0); }},
    {"do not end at 0", [](json& t) { remove(t, "live activations"); }},
    {"do not end at 0", [](json& t) { t["traceEvents"].push_back(event(t, "C")); }},
    {"-1 live", [](json& t) { event(t, "C")["args"]["count"] = -1; }},
    {"come late", [](json& t) { event(t, "C")["ts"] = 50; }},
    {"not reserved", [](json& t) { event(t, "X")["cname"] = "blue"; }},
    {"without a name", [](json& t) { event(t, "X")["name"] = ""; }},
    {"phase", [](json& t) { event(t, "X")["ph"] = "B"; }},
    {"args", [](json& t) { event(t, "C").erase("args"); }},
    {"traceEvents", [](json& t) { t.erase("traceEvents"); }},
};

}  // namespace

TEST_CASE("the checker finds each way to break a trace") {
  const Run good = run(*find_schedule("1f1b"), {.ranks = 2, .microbatches = 2},
                       {.forward = 10'000, .input_grad = 10'000, .weight_grad = 10'000});
  const json trace = json::parse(trace_of(good));
  REQUIRE(problems(check_trace(trace.dump())) == "");
  for (const Broken& each : kBroken) {
    json broken = trace;
    each.harm(broken);
    const std::string found = problems(check_trace(broken.dump()), 1000);
    CAPTURE(found);
    INFO(each.rule << ", case " << (&each - kBroken));
    CHECK(found.find(each.rule) != std::string::npos);
  }
  CHECK(problems(check_trace("{\"traceEvents\": [")) != "");
}

TEST_CASE("a step cut short leaves a trace without negative lengths, whatever is missing") {
  const Op forward(OpKind::Forward, 0, 0);
  const Span never{kNever, kNever};
  RunRecord run{.schedule = "1f1b", .ranks = 2, .microbatches = 1, .source = "a machine"};
  run.actions = {{0, Action(forward), {Time(0), Time(1000)}}, {1, Action(forward), never}};
  // Awaited later than anything has ended; and ended, by another clock, before it started.
  run.messages = {{forward, 0, 1, never, Time(5000)},
                  {forward, 0, 1, {Time(900), Time(700)}, kNever}};
  std::string text;
  write_partial_trace(run, [&](std::string_view part) { text += part; });
  const json trace = json::parse(text);
  int slices = 0;
  for (const json& event : trace["traceEvents"])
    if (event["ph"] == "X") {
      CHECK(event["dur"] >= 0);
      ++slices;
    }
  CHECK(slices == 3);
}

}  // namespace bubblescope

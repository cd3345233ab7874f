// Figures of traces: HolisticTraceAnalysis's on its own traces, and an oracle on random ones.
#include "analysis/gpu_trace/gpu_figures.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/gpu_trace/kernel_names.h"
#include "analysis/gpu_trace/step_window.h"
#include "sim/base/error.h"
#include "tests/support/command.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

GpuRankFigures figures_of(const std::filesystem::path& path, const SelectOptions& options) {
  KernelNames names;
  TraceSet traces = read_traces({path.string()}, names);
  select_steps(traces, options);
  return gpu_figures(traces, names, options.window).ranks.at(0);
}

double us(Time time) {
  return static_cast<double>(time.count()) / 1000;
}

/// HolisticTraceAnalysis's word for a reason, whose sum per stream it tells.
Time reason(const IdleReasons& idle, const std::string& word) {
  return word == "host_wait"     ? idle.host_wait
         : word == "kernel_wait" ? idle.kernel_wait
                                 : idle.other;
}

void check_breakdown(const GpuRankFigures& figures, const json& rows, bool is_rounded) {
  for (const StreamFigures& stream : figures.streams) {
    double ours = 0;
    double theirs = 0;
    for (const json& row : rows) {
      if (row["stream"].dump() != stream.stream)
        continue;
      const double time = us(reason(stream.idle, row["idle_category"]));
      CAPTURE(row.dump());
      if (is_rounded)
        CHECK(time == row["idle_time"]);
      ours += time;
      theirs += row["idle_time"].get<double>();
    }
    CAPTURE(stream.stream);
    CHECK(std::abs(ours - theirs) <= 0.25);
  }
}

void check_hta(const GpuRankFigures& figures, const json& theirs, bool is_rounded) {
  const json& times = theirs["temporal_breakdown"][0];
  const double bound = is_rounded ? 0 : 0.25;  // it computes in doubles
  CHECK(std::abs(us(figures.window) - times["kernel_time(us)"].get<double>()) <= bound);
  CHECK(std::abs(us(figures.idle) - times["idle_time(us)"].get<double>()) <= bound);
  CHECK(std::abs(us(figures.compute) - times["compute_time(us)"].get<double>()) <= bound);
  CHECK(std::abs(us(figures.busy - figures.compute) -
                 times["non_compute_time(us)"].get<double>()) <= bound);
  const json& overlap = theirs["comm_comp_overlap"][0]["comp_comm_overlap_pctg"];
  if (overlap.is_null()) {
    CHECK(figures.communication == Time::zero());
  } else {
    const double percent = 100 * us(figures.overlap) / us(figures.communication);
    CHECK(std::round(percent * 100) / 100 == doctest::Approx(overlap.get<double>()).epsilon(1e-9));
  }
  std::size_t events = 0;
  for (const StreamFigures& stream : figures.streams)
    events += stream.events;
  CHECK(events == theirs["gpu_events"]);
  check_breakdown(figures, theirs["idle_time_breakdown"], is_rounded);
}

struct Event {
  std::int64_t start, end;
  const char* name = "k";
  std::uint32_t stream = 0;
  std::int64_t launch = GpuEvent::kNoLaunch.count();
};

RankTrace trace_of(const std::vector<Event>& events, KernelNames& names) {
  RankTrace trace{.rank = 0, .place = "t.json", .streams = {"0", "1", "2"}};
  for (const Event& each : events)
    trace.events.push_back(
        {Time(each.start), Time(each.end), Time(each.launch), names.add(each.name), each.stream});
  std::stable_sort(trace.events.begin(), trace.events.end(),
                   [](const GpuEvent& a, const GpuEvent& b) { return a.start < b.start; });
  return trace;
}

GpuRankFigures figures_of(const std::vector<Event>& events) {
  KernelNames names;
  const TraceSet traces{.ranks = {trace_of(events, names)}};
  return gpu_figures(traces, names, WindowKind::Common).ranks[0];
}

}  // namespace

TEST_CASE("HolisticTraceAnalysis's traces give its figures") {
  const auto folder = reference("traces");
  if (folder.empty())
    return;
  const json all = json::parse(contents(folder / "hta-figures.json"));
  CHECK(all.size() == 4);
  for (const auto& [file, of_file] : all.items())
    for (const bool is_rounded : {true, false})
      for (const bool is_whole : {true, false}) {
        CAPTURE(file);
        CAPTURE(is_rounded);
        CAPTURE(is_whole);
        const GpuRankFigures figures =
            figures_of(folder / file, {.window = WindowKind::OfRank,
                                       .steps = is_whole ? StepChoice::All : StepChoice::DropLast,
                                       .round_us = is_rounded});
        check_hta(figures,
                  of_file[is_rounded ? "hta_rounded" : "hta_exact"]
                         [is_whole ? "include_last_profiler_step" : "default"],
                  is_rounded);
      }
}

TEST_CASE("exact times make no false overlaps") {
  const auto folder = reference("traces");
  if (folder.empty())
    return;
  KernelNames names;
  const TraceSet traces = read_traces({(folder / "hta-ns-resolution.json.gz").string()}, names);
  for (const std::string& note : traces.notes)
    CHECK_MESSAGE(!has(note, "slices begin before"), note);
}

TEST_CASE("DeepSeek's training trace hides 96.32 % of its communication") {
  const auto folder = reference("traces");
  if (folder.empty())
    return;
  const json theirs = json::parse(contents(folder / "deepseek-train-figures.json"));
  const GpuRankFigures figures = figures_of(folder / "deepseek-train.json", {});
  CHECK(us(figures.window) == theirs["span_us"]);
  CHECK(us(figures.busy) == theirs["union"]["any"]);
  CHECK(us(figures.communication) == theirs["union"]["comm"]);
  CHECK(us(figures.compute) == theirs["union"]["comp"]);
  CHECK(us(figures.memory) == theirs["union"]["mem"]);
  CHECK(us(figures.overlap) == theirs["overlap_comm_comp"]);
  CHECK(us(figures.exposed_communication) == theirs["exposed_comm"]);
  CHECK(us(figures.idle) == theirs["idle"]);
  CHECK(100 * us(figures.overlap) / us(figures.communication) ==
        doctest::Approx(theirs["overlap_pct"].get<double>()));
  REQUIRE(figures.streams.size() == 3);
  for (const StreamFigures& stream : figures.streams) {
    const json& wanted = theirs["stream" + stream.stream];
    CHECK(stream.events == wanted["n"]);
    CHECK(us(stream.busy) == wanted["busy_union"]);
    CHECK(us(stream.idle.before) == wanted["first"].get<double>() - theirs["first"].get<double>());
    CHECK(us(stream.idle.after) == theirs["last"].get<double>() - wanted["last"].get<double>());
    CHECK(stream.busy + stream.idle.sum() == figures.window);
  }
  std::size_t comm = 0;
  for (const FamilyFigures& family : figures.families)
    comm += family.kernel_class == KernelClass::Communication ? family.count : 0;
  CHECK(comm == theirs["n"]["comm"]);
}

TEST_CASE("figures are those of counting each nanosecond") {
  const char* kNames[] = {"gemm", "ncclDevKernel_AllReduce", "Memcpy DtoD"};
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t limit) {
      return static_cast<std::int64_t>(random() % limit);
    };
    std::vector<Event> events;
    for (std::int64_t n = 1 + below(30); n > 0; --n) {
      const std::int64_t start = below(300);
      events.push_back({start, start + below(30), kNames[below(3)],
                        static_cast<std::uint32_t>(below(3)), below(2) * below(300)});
    }
    const auto covered = [&](std::int64_t at, const auto& counts) {
      return std::any_of(events.begin(), events.end(), [&](const Event& event) {
        return event.start <= at && at < event.end && counts(event);
      });
    };
    std::int64_t first = 1000, last = 0, busy = 0, compute = 0, comm = 0, both = 0;
    for (const Event& event : events) {
      first = std::min(first, event.start);
      last = std::max(last, event.end);
    }
    for (std::int64_t at = first; at < last; ++at) {
      const bool computes = covered(at, [&](const Event& e) { return e.name == kNames[0]; });
      const bool communicates = covered(at, [&](const Event& e) { return e.name == kNames[1]; });
      busy += covered(at, [](const Event&) { return true; }) ? 1 : 0;
      compute += computes ? 1 : 0;
      comm += communicates ? 1 : 0;
      both += computes && communicates ? 1 : 0;
    }
    const GpuRankFigures figures = figures_of(events);
    CHECK(figures.window.count() == last - first);
    CHECK(figures.busy.count() == busy);
    CHECK(figures.idle.count() == last - first - busy);
    CHECK(figures.compute.count() == compute);
    CHECK(figures.communication.count() == comm);
    CHECK(figures.overlap.count() == both);
    CHECK(figures.exposed_communication.count() == comm - both);
    CHECK(figures.idle_reasons.sum() == figures.idle);
  }
}

TEST_CASE("a window over all ranks has the bubbles that a window per rank hides") {
  KernelNames names;
  TraceSet traces{.ranks = {trace_of({{0, 10}, {80, 100}}, names), trace_of({{20, 60}}, names)}};
  const GpuFigures common = gpu_figures(traces, names, WindowKind::Common);
  CHECK(common.ranks[1].window == Time(100));
  CHECK(common.ranks[1].idle == Time(60));
  CHECK(common.ranks[1].idle_reasons.before == Time(20));
  CHECK(common.ranks[1].idle_reasons.after == Time(40));
  const GpuFigures own = gpu_figures(traces, names, WindowKind::OfRank);
  CHECK(own.ranks[1].window == Time(40));
  CHECK(own.ranks[1].idle == Time(0));
  CHECK(own.ranks[0].idle == Time(70));
}

TEST_CASE("ranks are held to the steps that all have, on one clock") {
  KernelNames names;
  const auto rank = [&](std::int64_t clock, std::vector<std::int64_t> steps) {
    std::vector<Event> events;
    RankTrace trace;
    for (const std::int64_t step : steps)
      events.push_back(
          {clock + 100 * step + 10, clock + 100 * step + 60, "k", 0, clock + 100 * step + 5});
    trace = trace_of(events, names);
    for (const std::int64_t step : steps)
      trace.steps.push_back({step, Time(clock + 100 * step), Time(clock + 100 * step + 100)});
    return trace;
  };
  TraceSet shifted{.ranks = {rank(0, {1, 2, 3}), rank(1'000'000, {2, 3, 4})}};
  select_steps(shifted, {});
  for (const RankTrace& each : shifted.ranks) {
    CHECK(each.events.size() == 2);
    CHECK(each.events[0].start == Time(210));
  }
  REQUIRE(shifted.notes.size() == 2);
  CHECK(has(shifted.notes[0], "only those that all have count, 2 to 3"));
  CHECK(has(shifted.notes[1], "ProfilerStep#2 is taken to begin at one time"));
  TraceSet same{.ranks = {rank(0, {1, 2}), rank(7, {1, 2})}};  // clocks that agree stay
  select_steps(same, {});
  CHECK(same.ranks[1].events[0].start == Time(117));
  CHECK(same.notes.empty());
  TraceSet apart{.ranks = {rank(0, {1}), rank(1'000'000, {2})}};
  CHECK_THROWS_WITH_AS(select_steps(apart, {}), doctest::Contains("--window rank"), Error);
  select_steps(apart, {.window = WindowKind::OfRank});
  TraceSet dropped{.ranks = {rank(0, {1, 2, 3})}};
  select_steps(dropped, {.steps = StepChoice::DropLast});
  CHECK(dropped.ranks[0].events.size() == 2);
  TraceSet only{.ranks = {rank(0, {1})}};
  select_steps(only, {.steps = StepChoice::DropLast});
  CHECK(only.ranks[0].events.size() == 1);
  REQUIRE(only.notes.size() == 1);
  CHECK(has(only.notes[0], "fewer than two ProfilerSteps"));
  TraceSet partly{.ranks = {rank(0, {1, 2})}};
  partly.ranks[0].events[0].launch = GpuEvent::kNoLaunch;
  partly.ranks[0].events.push_back(partly.ranks[0].events[0]);
  partly.ranks[0].events.back().launch = Time(110);
  select_steps(partly, {.steps = StepChoice::DropLast});
  CHECK(partly.ranks[0].events.size() == 1);
  REQUIRE(partly.notes.size() == 1);
  CHECK(has(partly.notes[0], "leaves out 1 of 3 events of the GPU, since no launch says"));
}

TEST_CASE("events belong to the ranges that launched them, or lie around them on the stream") {
  KernelNames names;
  RankTrace trace = trace_of(
      {{10, 20, "gemm", 0, 1}, {20, 50, "ncclKernel", 1, 2}, {60, 61, "gemm", 0, 8}}, names);
  trace.range_names = std::make_shared<const std::vector<std::string>>(
      std::vector<std::string>{"outer", "inner", "empty"});
  const auto host = TraceRange::kHost;
  trace.ranges = {{Time(0), Time(9), 0, host},
                  {Time(1), Time(3), 1, host},
                  {Time(7), Time(9), 1, host},
                  {Time(2), Time(9), 1, host},
                  {Time(30), Time(40), 2, host}};
  const auto by_launch = range_figures(trace, names);
  REQUIRE(by_launch.size() == 2);
  for (const RangeFigures& range : by_launch) {  // overlapping ranges of one name count once
    CHECK(!range.is_gpu);
    CHECK(range.events == 3);
    CHECK(range.time == std::array{Time(11), Time(30), Time(0)});
    CHECK(range.count == (*range.name == "outer" ? 1 : 3));
  }
  trace.ranges = {{Time(0), Time(15), 0, 0}, {Time(0), Time(60), 1, 1}};
  const auto by_stream = range_figures(trace, names);
  REQUIRE(by_stream.size() == 2);
  CHECK(*by_stream[0].name == "inner");
  CHECK(by_stream[0].time == std::array{Time(0), Time(30), Time(0)});
  CHECK(by_stream[1].time == std::array{Time(10), Time(0), Time(0)});
}

TEST_CASE("kernels are told apart by their names") {
  struct Case {
    const char* name;
    KernelClass kernel_class;
    const char* family;
  };
  using enum KernelClass;
  const Case cases[] = {
      {"ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevComm*)", Communication, "AllReduce"},
      {"ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t", Communication, "SendRecv"},
      {"void rcclKernel_x()", Communication, "other"},
      {"nvshmemi_transfer_rma", Communication, "NVSHMEM"},
      {"void dpsk::ep::internode::dispatch<false, 8>(int4*)", Communication, "EP dispatch"},
      {"void deep_ep::intranode::combine<x>(int)", Communication, "EP combine"},
      {"void deep_ep::internode_ll::combine<x>(int)", Communication, "EP combine"},
      {"void dpsk::ep::internode::cached_notify<false>(int)", Communication, "EP notify"},
      {"void dpsk::ep::internode::notify_dispatch<8>(int)", Communication, "EP notify"},
      {"void dpsk::ep::cuda::get_dispatch_layout<256>(long)", Compute, "other"},
      {"void deep_ep::internode::get_dispatch_layout<256>(long)", Compute, "other"},
      {"Memcpy PtoP (Device -> Device)", Memory, "Memcpy PtoP"},
      {"Memset (Device)", Memory, "Memset"},
      {"void cutlass::device_kernel<flash::FlashAttnBwd<x>>(y)", Compute, "attention"},
      {"sm90_xmma_gemm_bf16f32_tn_n", Compute, "GEMM"},
      {"wgrad_gemm_accum_fp32", Compute, "GEMM"},
      {"cutlass::Kernel2<dgrad_tensorop>", Compute, "GEMM"},
      {"sm80_xmma_fprop_implicit_gemm_f16", Compute, "convolution"},
      {"conv2d_forward", Compute, "convolution"},
      {"convert_fp8_kernel", Compute, "elementwise"},
      {"Memcpy \u00b5\u00b5\u00b5", Memory, "Memcpy"},
      {"void layer_norm::ln_fwd_kernel<x>", Compute, "norm"},
      {"void at::native::vectorized_elementwise_kernel<4>", Compute, "elementwise"},
      {"mystery", Compute, "other"}};
  KernelNames names;
  for (const Case& each : cases) {
    CAPTURE(each.name);
    const KernelNames::Id id = names.add(each.name);
    CHECK(names.kernel_class(id) == each.kernel_class);
    CHECK(names.family_text(names.family(id)) == each.family);
    CHECK(names.add(each.name) == id);
    CHECK(names.text(id) == each.name);
  }
  KernelNames own("^my_|reduce$");
  CHECK(own.kernel_class(own.add("my_send")) == Communication);
  CHECK(own.kernel_class(own.add("all_reduce")) == Communication);
  CHECK(own.kernel_class(own.add("ncclDevKernel_AllGather")) == Compute);
  CHECK(own.kernel_class(own.add("Memcpy my_")) == Memory);
  CHECK(own.kernel_class(own.add(std::string(1'000'000, 'x') + "reduce")) == Compute);
  CHECK_THROWS_AS(KernelNames("("), Error);
  CHECK_THROWS_AS(KernelNames("a)(?:b"), Error);
  CHECK_THROWS_AS(KernelNames("(a)\\1"), Error);
  for (const char* pattern : {"(a*)*b", "(a|aa)*b", ".*.*.*.*.*.*.*b"}) {  // would take years
    KernelNames slow(pattern);
    CHECK(slow.kernel_class(slow.add(std::string(500, 'a'))) == Compute);
    CHECK(slow.kernel_class(slow.add("xaab")) == Communication);
  }
}

}  // namespace bubblescope

// Files with several GPUs: each is a rank, with its own work, launches and ranges.
#include "analysis/gpu_trace/gpu_ranks.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "analysis/gpu_trace/gpu_figures.h"
#include "analysis/gpu_trace/step_window.h"
#include "tests/support/traces.h"

namespace bubblescope {
namespace {

using namespace traces;
using nlohmann::json;

struct Slice {
  std::string category = "kernel";
  std::string process = "0";
  int start = 0, duration = 0;
  json args = json::object();
  std::string name = "k";
};

std::string slice(const Slice& each) {
  return json({{"ph", "X"},
               {"cat", each.category},
               {"name", each.name},
               {"pid", each.process},
               {"tid", 7},
               {"ts", each.start},
               {"dur", each.duration},
               {"args", each.args}})
      .dump();
}

std::string kernel(const std::string& process, int device, int start, int correlation = 0) {
  return slice({.process = process,
                .start = start,
                .duration = 100,
                .args = {{"device", device}, {"stream", 7}, {"correlation", correlation}}});
}

std::string host_launch(const std::string& process, int start, int correlation) {
  return slice({.category = "cuda_runtime",
                .process = process,
                .start = start,
                .duration = 1,
                .args = {{"correlation", correlation}}});
}

std::string range(const std::string& process, const std::string& name, int start, int duration) {
  return slice({.category = "user_annotation",
                .process = process,
                .start = start,
                .duration = duration,
                .name = name});
}

std::string file(const std::vector<std::string>& events, const std::string& info = "{}") {
  return kineto(fmt::format("{}", fmt::join(events, ",")), info);
}

}  // namespace

TEST_CASE("each GPU of a file is a rank that works and idles for itself") {
  const Read all = read({file({kernel("[TP00-PP00] 0", 0, 100), kernel("[TP00-PP01] 1", 1, 200)})});
  const GpuFigures figures = gpu_figures(all.traces, all.names, WindowKind::Common);
  REQUIRE(figures.ranks.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const GpuRankFigures& rank = figures.ranks[i];
    CHECK(rank.rank == static_cast<std::int64_t>(i));
    CHECK(rank.device == std::to_string(i));
    CHECK(has(rank.place, fmt::format("0t.json, device {}", i)));
    CHECK(rank.window == Time(200'000));
    CHECK(rank.busy == Time(100'000));
    CHECK(rank.idle == Time(100'000));
    REQUIRE(rank.streams.size() == 1);
    CHECK(rank.streams[0].stream == "7");
  }
  CHECK(has_note(all,
                 "0t.json: has events of 2 GPUs, and each is a rank: device 0 is rank 0, "
                 "device 1 is rank 1"));
}

TEST_CASE("processes that have one device number are GPUs of several nodes") {
  const Read all =
      read({file({kernel("node1 0", 0, 0), kernel("node2 0", 0, 100), kernel("node1 0", 0, 100)})});
  REQUIRE(all.traces.ranks.size() == 2);
  CHECK(all.rank(0).events.size() == 2);
  CHECK(all.rank(1).events.size() == 1);
  CHECK(has(all.rank(1).place, "0t.json, process node2 0, device 0"));
  CHECK(all.traces.notes.size() == 1);  // and no slices that overlap
}

TEST_CASE("the rank that a file tells is that of its device, or of the one with most events") {
  const auto ranks = [](int told, const std::vector<int>& devices) {
    std::vector<std::string> events;
    for (const int device : devices)
      events.push_back(
          kernel(std::to_string(device), device, static_cast<int>(100 * events.size())));
    const Read all = read({file(events, fmt::format(R"({{"rank": {}}})", told))});
    std::vector<std::pair<std::int64_t, std::string>> found;
    for (const RankTrace& rank : all.traces.ranks)
      found.emplace_back(rank.rank, rank.device);
    return found;
  };
  using Found = std::vector<std::pair<std::int64_t, std::string>>;
  CHECK(ranks(5, {3}) == Found{{5, "3"}});
  CHECK(ranks(1, {0, 0, 1}) == Found{{0, "0"}, {1, "1"}});
  CHECK(ranks(0, {0, 1, 1}) == Found{{0, "0"}, {1, "1"}});
  CHECK(ranks(11, {3, 3, 0}) == Found{{0, "0"}, {11, "3"}});  // a stray copy on the first device
  CHECK(ranks(11, {10, 9, 9}) == Found{{0, "10"}, {11, "9"}});
}

TEST_CASE("events without a device are of the only one of their process") {
  const auto bare = [](const std::string& process, int start) {
    return slice({.process = process, .start = start, .duration = 1, .args = {{"stream", 7}}});
  };
  const Read all = read({file({kernel("a 0", 0, 0), bare("a 0", 200), kernel("b 1", 1, 0),
                               bare("b 1", 300), bare("b 1", 400)})});
  REQUIRE(all.traces.ranks.size() == 2);
  CHECK(all.rank(0).events.size() == 2);
  CHECK(all.rank(0).streams.size() == 1);
  CHECK(all.rank(1).events.size() == 3);
  const Read none = read({file({bare("4", 0), bare("5", 100)})});  // the process stands for it
  REQUIRE(none.traces.ranks.size() == 2);
  CHECK(none.rank(1).device == "5");
}

TEST_CASE("GPUs of one process share its launches, steps and ranges") {
  const Read all = read({file({host_launch("99", 10, 1), host_launch("99", 20, 2),
                               range("99", "PP:0F0", 5, 10), range("99", "ProfilerStep#1", 0, 50),
                               kernel("0", 0, 100, 1), kernel("1", 1, 100, 2)})});
  REQUIRE(all.traces.ranks.size() == 2);
  CHECK(all.rank(0).events[0].launch == Time(10'000));
  CHECK(all.rank(1).events[0].launch == Time(20'000));
  const GpuFigures figures = gpu_figures(all.traces, all.names, WindowKind::Common);
  REQUIRE(figures.ranks[0].ranges.size() == 1);
  CHECK(figures.ranks[1].ranges.empty());  // it launched that event later
  for (const RankTrace& rank : all.traces.ranks)
    CHECK(rank.steps.size() == 1);
}

TEST_CASE("merged processes count launches alike, and those of another are never taken") {
  const auto of_rank = [](const std::string& name, int gpu, int clock) {
    return std::vector{host_launch(name + " 4037", clock, 1),
                       range(name + " 4037", name, clock - 5, 10),
                       kernel(name + " " + std::to_string(gpu), gpu, clock + 100, 1)};
  };
  std::vector<std::string> events = of_rank("[PP00]", 0, 10);
  for (const std::string& each : of_rank("[PP01]", 1, 12))
    events.push_back(each);
  const Read named = read({file(events)});
  REQUIRE(named.traces.ranks.size() == 2);
  const GpuFigures figures = gpu_figures(named.traces, named.names, WindowKind::Common);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(named.rank(i).events[0].launch == Time(i == 0 ? 10'000 : 12'000));
    REQUIRE(figures.ranks[i].ranges.size() == 1);  // not that of the other, which is as wide
    CHECK(*figures.ranks[i].ranges[0].name == fmt::format("[PP0{}]", i));
  }
  CHECK(named.traces.notes.size() == 1);
  // Where names tell nothing, a number that two have is of neither, and one that one has is its.
  const Read unnamed =
      read({file({host_launch("100", 1, 1), host_launch("200", 2, 1), host_launch("200", 3, 2),
                  range("100", "a", 0, 9), range("200", "b", 0, 9), kernel("0", 0, 10, 1),
                  kernel("1", 1, 10, 2)})});
  CHECK(unnamed.rank(0).events[0].launch == GpuEvent::kNoLaunch);
  CHECK(unnamed.rank(0).ranges.empty());
  CHECK(unnamed.rank(1).events[0].launch == Time(3000));
  REQUIRE(unnamed.rank(1).ranges.size() == 1);
  CHECK(unnamed.rank(1).range_names->at(unnamed.rank(1).ranges[0].name) == "b");
  CHECK(has_note(unnamed, "2 processes number their launches alike, so that those of 1 events"));
}

TEST_CASE("a process's own launches come before those of its name") {
  const auto of_rank = [](const std::string& process, int gpu, int clock) {
    return std::vector{host_launch(process, clock, 1), kernel(process, gpu, clock + 10, 1),
                       range(process, process, clock, 900), host_launch(process, clock + 585, 2),
                       kernel(process, gpu, clock + 585, 2)};
  };
  std::vector<std::string> events = of_rank("rank 0", 0, 20);
  for (const std::string& each : of_rank("rank 1", 1, 10))
    events.push_back(each);
  const Read all = read({file(events)});
  const GpuFigures figures = gpu_figures(all.traces, all.names, WindowKind::OfRank);
  REQUIRE(figures.ranks.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(all.rank(i).events[1].launch == Time(i == 0 ? 605'000 : 595'000));
    CHECK(figures.ranks[i].idle_reasons.host_wait == Time(475'000));
    REQUIRE(all.rank(i).ranges.size() == 1);
    CHECK(all.rank(i).range_names->at(all.rank(i).ranges[0].name) == fmt::format("rank {}", i));
  }
  CHECK(all.traces.notes.size() == 1);
}

TEST_CASE("all processes of a name may have launched, and what two of them have is unknown") {
  const Read all = read({file(
      {host_launch("[PP00] 5000", 1, 9), host_launch("[PP00] 4037", 2, 1),
       host_launch("[PP00] 4037", 3, 2), host_launch("[PP01] 4038", 4, 1),
       range("[PP01] 4039", "b", 0, 9), kernel("[PP00] 0", 0, 10, 1), kernel("[PP00] 0", 0, 200, 2),
       kernel("[PP00] 0", 0, 400, 9), kernel("[PP01] 1", 1, 10, 1),
       // A wait for a stream stands with the GPU's process, which is no host for that.
       slice({.category = "cuda_sync",
              .process = "[PP00] 0",
              .args = {{"stream", 7}, {"correlation", 70}}})})});
  REQUIRE(all.traces.ranks.size() == 2);
  std::vector<Time> launches;
  for (const GpuEvent& event : all.rank(0).events)
    launches.push_back(event.launch);
  CHECK(launches == std::vector{Time(2000), Time(3000), Time(1000)});
  CHECK(all.rank(0).ranges.empty());
  CHECK(all.rank(1).events[0].launch == Time(4000));
  CHECK(all.rank(1).ranges.size() == 1);
  CHECK(all.traces.notes.size() == 1);
  const Read two = read({file({host_launch("[PP00] 5000", 1, 1), host_launch("[PP00] 4037", 2, 1),
                               kernel("[PP00] 0", 0, 10, 1), kernel("[PP01] 1", 1, 10)})});
  CHECK(two.rank(0).events[0].launch == GpuEvent::kNoLaunch);
  CHECK(has_note(two, "2 processes number their launches alike, so that those of 1 events"));
}

TEST_CASE("ranges of a process without launches are those of its own GPU alone") {
  const Read all = read({file({host_launch("[PP00] 4037", 1, 1), range("[PP01] 4038", "b", 0, 9),
                               kernel("[PP00] 0", 0, 10, 1), kernel("[PP01] 1", 1, 10, 1)})});
  CHECK(all.rank(0).events[0].launch == Time(1000));
  CHECK(all.rank(0).ranges.empty());
  CHECK(all.rank(1).events[0].launch == GpuEvent::kNoLaunch);
  CHECK(all.rank(1).ranges.size() == 1);
}

TEST_CASE("the GPUs of a file share the names of its ranges") {
  const std::string name(std::size_t{2} << 20, 'n');
  std::vector<std::string> events = {range("99", name, 0, 1000)};
  for (int gpu = 0; gpu < 100; ++gpu) {
    events.push_back(host_launch("99", gpu, gpu + 1));
    events.push_back(kernel(std::to_string(gpu), gpu, 500, gpu + 1));
  }
  const TemporaryFolder folder;
  folder.write("t.json", file(events));
  const ProcessResult result =
      run("analyze t.json", {.folder = folder.path(), .address_space = 100'000'000});
  CHECK_MESSAGE(result.exit_code == 0, result.err);
  CHECK(has(result.out, "nnnn…     100     100  "));
}

TEST_CASE("a GPU without work in the steps that count leaves the others") {
  Read all = read({file({range("99", "ProfilerStep#1", 0, 50),
                         range("99", "ProfilerStep#2", 50, 50), host_launch("99", 10, 1),
                         host_launch("99", 60, 2), kernel("0", 0, 20, 1), kernel("1", 1, 70, 2)})});
  select_steps(all.traces, {.steps = StepChoice::DropLast});
  REQUIRE(all.traces.ranks.size() == 1);
  CHECK(all.rank().device == "0");
  CHECK(
      has_note(all, "0t.json, device 1: nothing of the GPU was launched in the steps that count"));
}

TEST_CASE("more GPUs than any file has are refused") {
  std::vector<std::string> events;
  for (int device = 0; device <= 4096; ++device)
    events.push_back(kernel("p", device, 1));
  CHECK(complaint(file(events)) == "has events of more than 4096 GPUs");
}

}  // namespace bubblescope

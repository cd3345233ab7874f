// Reasons of idle gaps between slices of a stream.
#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "analysis/gpu_trace/gpu_figures.h"

namespace bubblescope {
namespace {

constexpr std::int64_t kNoLaunch = GpuEvent::kNoLaunch.count();

GpuEvent slice(std::int64_t start, std::int64_t end, std::int64_t launch = kNoLaunch,
               std::uint32_t stream = 0) {
  return {Time(start), Time(end), Time(launch), 0, stream};
}

/// The figures of ranks, each with its slices on streams 0 to 2.
std::vector<GpuRankFigures> figures_of(const std::vector<std::vector<GpuEvent>>& ranks,
                                       WindowKind window) {
  KernelNames names;
  names.add("k");
  TraceSet traces;
  for (const std::vector<GpuEvent>& slices : ranks) {
    traces.ranks.push_back({.place = "t.json", .streams = {"0", "1", "2"}, .events = slices});
    std::vector<GpuEvent>& events = traces.ranks.back().events;
    std::stable_sort(events.begin(), events.end(),
                     [](const GpuEvent& a, const GpuEvent& b) { return a.start < b.start; });
  }
  return gpu_figures(traces, names, window).ranks;
}

IdleReasons reasons_of(const std::vector<GpuEvent>& slices) {
  return figures_of({slices}, WindowKind::Common)[0].streams[0].idle;
}

}  // namespace

TEST_CASE("an idle gap is the host's, a launch's or another's") {
  // A gap begins at 100 µs; the kernel behind it was launched before or after that.
  const auto gap = [](std::int64_t length, std::int64_t launch) {
    const GpuRankFigures figures =
        figures_of({{slice(0, 100'000), slice(100'000 + length, 200'000 + length, launch)}},
                   WindowKind::Common)[0];
    CHECK(figures.streams[0].idle.host_wait == figures.idle_reasons.host_wait);
    return figures.idle_reasons;
  };
  CHECK(gap(50'000, 100'001).host_wait == Time(50'000));
  CHECK(gap(10, 100'001).host_wait == Time(10));
  CHECK(gap(29'999, 100'000).kernel_wait == Time(29'999));
  CHECK(gap(30'000, 100'000).other == Time(30'000));
  CHECK(gap(30'000, kNoLaunch).other == Time(30'000));
}

TEST_CASE("a gap between slices begins with the end of all before it") {
  const std::vector<GpuEvent> nested = {slice(0, 100'000), slice(10'000, 30'000)};
  const auto idle = [&](GpuEvent last) { return reasons_of({nested[0], nested[1], last}); };
  const IdleReasons late = idle(slice(200'000, 300'000));
  CHECK(late.other == Time(100'000));
  CHECK(late.kernel_wait == Time(0));
  CHECK(late.sum() == Time(100'000));
  CHECK(idle(slice(110'000, 300'000, 100'001)).host_wait == Time(10'000));
  CHECK(idle(slice(110'000, 300'000, 99'999)).kernel_wait == Time(10'000));
}

TEST_CASE("reasons of any slices are never below 0 and sum to the idle time") {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t limit) {
      return static_cast<std::int64_t>(random() % limit);
    };
    std::vector<GpuEvent> slices;
    for (std::int64_t n = 1 + below(40); n > 0; --n) {
      const std::int64_t start = below(500'000);  // far beside the bound of a launch's gap
      const std::int64_t length = below(2) * below(static_cast<std::uint32_t>(1 + below(90'000)));
      const std::int64_t launch = below(3) == 0 ? kNoLaunch : below(500'000);
      slices.push_back(slice(start, start + length, launch, static_cast<std::uint32_t>(below(3))));
    }
    for (const WindowKind window : {WindowKind::Common, WindowKind::OfRank})
      for (const GpuRankFigures& rank : figures_of({slices, {slices.front()}}, window)) {
        const auto check = [&](const IdleReasons& idle, Time busy) {
          for (const Time part :
               {idle.before, idle.host_wait, idle.kernel_wait, idle.other, idle.after})
            CHECK(part >= Time::zero());
          CHECK(busy + idle.sum() == rank.window);
        };
        check(rank.idle_reasons, rank.busy);
        for (const StreamFigures& stream : rank.streams)
          if (stream.events > 0)
            check(stream.idle, stream.busy);
      }
  }
}

}  // namespace bubblescope

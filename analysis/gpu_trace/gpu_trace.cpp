#include "analysis/gpu_trace/gpu_trace.h"

#include <algorithm>
#include <cmath>

namespace bubblescope {
namespace {

constexpr std::int64_t kNsPerUs = 1000;

/// The double nearest to a time in µs: the whole part is exact below 2⁵³, and of thousandths only
/// eighths lie halfway between two doubles, which are exact themselves.
double double_us(Time time) {
  const std::int64_t ns = time.count();
  const std::int64_t rest = ((ns % kNsPerUs) + kNsPerUs) % kNsPerUs;
  const std::int64_t whole = (ns - rest) / kNsPerUs;
  return static_cast<double>(whole) + static_cast<double>(rest) / static_cast<double>(kNsPerUs);
}

Time from_us(double us) {
  return Time(static_cast<std::int64_t>(us) * kNsPerUs);
}

void round_span(Time& start, Time& end) {
  const double from = double_us(start);
  const double to = from + double_us(end - start);
  start = from_us(std::ceil(from));
  end = from_us(std::floor(to));
}

}  // namespace

void round_to_us(RankTrace& trace) {
  for (GpuEvent& event : trace.events) {
    round_span(event.start, event.end);
    if (event.launch != GpuEvent::kNoLaunch)
      event.launch = from_us(std::ceil(double_us(event.launch)));
  }
  for (ProfilerStep& step : trace.steps)
    round_span(step.start, step.end);
  for (TraceRange& range : trace.ranges)
    round_span(range.start, range.end);
  std::stable_sort(trace.events.begin(), trace.events.end(),
                   [](const GpuEvent& a, const GpuEvent& b) { return a.start < b.start; });
}

std::size_t keep_launched_between(RankTrace& trace, Time from, Time to) {
  const auto unknown =
      std::count_if(trace.events.begin(), trace.events.end(),
                    [](const GpuEvent& event) { return event.launch == GpuEvent::kNoLaunch; });
  std::erase_if(trace.events, [&](const GpuEvent& event) {
    return event.launch == GpuEvent::kNoLaunch || event.launch < from || event.launch >= to;
  });
  return static_cast<std::size_t>(unknown);
}

}  // namespace bubblescope

#include "analysis/gpu_trace/trace_notes.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "analysis/traces/trace_events.h"
#include "sim/base/printable.h"

namespace bubblescope {

std::optional<std::string> overlap_note(const RankTrace& trace, const KernelNames& names) {
  std::vector<Time> ends(trace.streams.size(), Time::min());
  std::size_t count = 0;
  std::string first;
  for (const GpuEvent& event : trace.events) {
    Time& end = ends[event.stream];
    if (event.start < end && count++ == 0)
      first = fmt::format("'{}' on stream {} at {} µs", printable_name(names.text(event.name)),
                          printable_name(trace.streams[event.stream]),
                          TraceEvents::microseconds(event.start));
    end = std::max(end, event.end);
  }
  if (count == 0)
    return std::nullopt;
  return fmt::format(
      "{}: {} of {} slices begin before one ahead of them on their stream ends, the first {}",
      trace.place, count, trace.events.size(), first);
}

std::optional<std::string> flow_note(const std::string& path, FlowEnds flows) {
  const auto by_key = [](const FlowEnds::End& a, const FlowEnds::End& b) { return a.key < b.key; };
  std::sort(flows.starts.begin(), flows.starts.end(), by_key);
  std::sort(flows.ends.begin(), flows.ends.end(), by_key);
  std::size_t first = std::numeric_limits<std::size_t>::max();
  const auto lonely = [&](const auto& ones, const auto& others) {
    std::size_t count = 0;
    for (const FlowEnds::End& one : ones)
      if (!std::binary_search(others.begin(), others.end(), one, by_key)) {
        ++count;
        first = std::min(first, one.event);
      }
    return count;
  };
  const std::size_t starts = lonely(flows.starts, flows.ends);
  const std::size_t ends = lonely(flows.ends, flows.starts);
  if (starts + ends == 0)
    return std::nullopt;
  return fmt::format(
      "{}: broken flows, which the figures do not need: {} starts without an end and {} ends "
      "without a start, the first /traceEvents/{}",
      path, starts, ends, first);
}

}  // namespace bubblescope

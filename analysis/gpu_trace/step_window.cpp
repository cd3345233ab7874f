#include "analysis/gpu_trace/step_window.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/engine/timeline.h"

namespace bubblescope {
namespace {

using Numbers = std::set<std::int64_t>;

Numbers step_numbers(const RankTrace& trace) {
  Numbers numbers;
  for (const ProfilerStep& step : trace.steps)
    numbers.insert(step.number);
  return numbers;
}

const ProfilerStep& step_of(const RankTrace& trace, std::int64_t number) {
  return *std::find_if(trace.steps.begin(), trace.steps.end(),
                       [&](const ProfilerStep& step) { return step.number == number; });
}

/// Leaves out GPUs of a shared file without work in these steps; throws Error where any other rank,
/// or every rank, has none.
void require_events(TraceSet& traces) {
  const auto nothing = [](const RankTrace& trace) {
    return fmt::format("{}: nothing of the GPU was launched in the steps that count", trace.place);
  };
  const bool are_all_empty =
      std::all_of(traces.ranks.begin(), traces.ranks.end(),
                  [](const RankTrace& trace) { return trace.events.empty(); });
  for (const RankTrace& trace : traces.ranks)
    if (trace.events.empty()) {
      if (are_all_empty || !trace.shares_file)
        throw Error(nothing(trace));
      traces.notes.push_back(nothing(trace) + ": leaves it out");
    }
  std::erase_if(traces.ranks, [](const RankTrace& trace) { return trace.events.empty(); });
}

void keep_steps(RankTrace& trace, Span steps, std::vector<std::string>& notes) {
  const std::size_t all = trace.events.size();
  const std::size_t unknown = keep_launched_between(trace, steps.start, steps.end);
  if (unknown > 0)
    notes.push_back(fmt::format(
        "{}: leaves out {} of {} events of the GPU, since no launch says which step they are of",
        trace.place, unknown, all));
}

void drop_last_step(RankTrace& trace, std::vector<std::string>& notes) {
  if (step_numbers(trace).size() < 2) {
    notes.push_back(fmt::format(
        "{}: has fewer than two ProfilerSteps, so that none is dropped as the last", trace.place));
    return;
  }
  const Time last = trace.steps.back().start;
  keep_steps(trace, {Time::min(), last}, notes);
  std::erase_if(trace.steps, [&](const ProfilerStep& step) { return step.start >= last; });
}

Numbers common_steps(const std::vector<RankTrace>& ranks) {
  Numbers common = step_numbers(ranks.front());
  for (const RankTrace& rank : ranks) {
    const Numbers numbers = step_numbers(rank);
    std::erase_if(common, [&](std::int64_t number) { return !numbers.contains(number); });
  }
  return common;
}

void keep_common_steps(TraceSet& traces, const Numbers& common) {
  const bool are_same =
      std::all_of(traces.ranks.begin(), traces.ranks.end(),
                  [&](const RankTrace& rank) { return step_numbers(rank) == common; });
  if (are_same || common.empty())
    return;
  for (RankTrace& rank : traces.ranks) {
    Time from = Time::max();
    Time to = Time::min();
    for (const ProfilerStep& step : rank.steps)
      if (common.contains(step.number)) {
        from = std::min(from, step.start);
        to = std::max(to, step.end);
      }
    keep_steps(rank, {from, to}, traces.notes);
  }
  require_events(traces);
  traces.notes.push_back(
      fmt::format("ranks have different ProfilerSteps: only those that all have count, {} to {}",
                  *common.begin(), *common.rbegin()));
}

void shift(RankTrace& trace, Time by) {
  for (GpuEvent& event : trace.events) {
    event.start += by;
    event.end += by;
    if (event.launch != GpuEvent::kNoLaunch)
      event.launch += by;
  }
  for (ProfilerStep& step : trace.steps) {
    step.start += by;
    step.end += by;
  }
  for (TraceRange& range : trace.ranges) {
    range.start += by;
    range.end += by;
  }
}

/// Whether there is a moment that lies in the span of each rank.
template <typename SpanOf>
bool have_common_time(const std::vector<RankTrace>& ranks, const SpanOf& span_of) {
  Time start = Time::min();
  Time end = Time::max();
  for (const RankTrace& rank : ranks) {
    const Span span = span_of(rank);
    start = std::max(start, span.start);
    end = std::min(end, span.end);
  }
  return start <= end;
}

Span gpu_span(const RankTrace& trace) {
  Time end = Time::min();
  for (const GpuEvent& event : trace.events)
    end = std::max(end, event.end);
  return {trace.events.front().start, end};
}

void align_clocks(TraceSet& traces, const Numbers& common) {
  if (common.empty()) {
    if (!have_common_time(traces.ranks, gpu_span))
      throw Error(
          "the ranks' GPUs work at no common time, and no ProfilerStep of all says how their "
          "clocks differ: --window rank takes each rank for itself");
    return;
  }
  const std::int64_t first = *common.begin();
  if (have_common_time(traces.ranks, [&](const RankTrace& rank) {
        const ProfilerStep& step = step_of(rank, first);
        return Span{step.start, step.end};
      }))
    return;
  const Time origin = step_of(traces.ranks.front(), first).start;
  for (RankTrace& rank : traces.ranks)
    shift(rank, origin - step_of(rank, first).start);
  traces.notes.push_back(fmt::format(
      "the ranks' clocks differ: ProfilerStep#{} is taken to begin at one time on all", first));
}

}  // namespace

void select_steps(TraceSet& traces, const SelectOptions& options) {
  if (options.round_us)
    for (RankTrace& rank : traces.ranks)
      round_to_us(rank);
  if (options.steps == StepChoice::DropLast)
    for (RankTrace& rank : traces.ranks)
      drop_last_step(rank, traces.notes);
  require_events(traces);
  if (options.window == WindowKind::OfRank || traces.ranks.size() < 2 || traces.has_one_clock)
    return;
  const Numbers common = common_steps(traces.ranks);
  keep_common_steps(traces, common);
  align_clocks(traces, common);
}

}  // namespace bubblescope

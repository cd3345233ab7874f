#include "analysis/gpu_trace/range_figures.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <tuple>
#include <utility>

namespace bubblescope {
namespace {

using Times = std::array<Time, kKernelClasses>;

/// Events by a moment of each, with sums of what lies before: a range's sums cost two searches.
class Events {
 public:
  void add(Time moment, KernelClass kernel_class, Time duration) {
    events_.push_back({moment, kernel_class, duration});
  }
  void finish() {
    std::stable_sort(events_.begin(), events_.end(),
                     [](const Event& a, const Event& b) { return a.moment < b.moment; });
    sums_.resize(events_.size() + 1);
    for (std::size_t i = 0; i < events_.size(); ++i) {
      sums_[i + 1] = sums_[i];
      sums_[i + 1][static_cast<std::size_t>(events_[i].kernel_class)] += events_[i].duration;
    }
  }
  /// The first that is not before.
  std::size_t first_from(Time moment) const {
    const auto found =
        std::lower_bound(events_.begin(), events_.end(), moment,
                         [](const Event& event, Time wanted) { return event.moment < wanted; });
    return static_cast<std::size_t>(found - events_.begin());
  }
  void add_sums(std::size_t from, std::size_t to, Times& times) const {
    for (std::size_t i = 0; i < kKernelClasses; ++i)
      times[i] += sums_[to][i] - sums_[from][i];
  }

 private:
  struct Event {
    Time moment;
    KernelClass kernel_class;
    Time duration;
  };
  std::vector<Event> events_;
  std::vector<Times> sums_;  // [event] of those before it
};

Time total(const RangeFigures& figures) {
  return std::accumulate(figures.time.begin(), figures.time.end(), Time::zero());
}

/// By name, of ranges on the GPU or of those on the host. `on_stream` has the events that count for
/// a range there; those of the host count as on one.
std::vector<RangeFigures> figures_of(const RankTrace& trace, bool is_gpu,
                                     const std::vector<Events>& on_stream) {
  std::vector<TraceRange> ranges;
  for (const TraceRange& range : trace.ranges)
    if ((range.stream != TraceRange::kHost) == is_gpu)
      ranges.push_back(range);
  std::sort(ranges.begin(), ranges.end(), [](const TraceRange& a, const TraceRange& b) {
    return std::tuple(a.name, a.stream, a.start, a.end) <
           std::tuple(b.name, b.stream, b.start, b.end);
  });
  std::vector<RangeFigures> all;
  std::size_t done = 0;  // events of the stream that were counted
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const TraceRange& range = ranges[i];
    const bool is_new_name = i == 0 || range.name != ranges[i - 1].name;
    if (is_new_name)
      all.push_back(
          {.name = {trace.range_names, &(*trace.range_names)[range.name]}, .is_gpu = is_gpu});
    if (is_new_name || range.stream != ranges[i - 1].stream)
      done = 0;
    const Events& events = on_stream[is_gpu ? range.stream : 0];
    const std::size_t from = events.first_from(range.start);
    const std::size_t to = std::max(from, events.first_from(range.end));
    all.back().count += to > from ? 1U : 0U;
    const std::size_t fresh = std::max(from, done);
    if (to > fresh) {
      all.back().events += to - fresh;
      events.add_sums(fresh, to, all.back().time);
      done = to;
    }
  }
  std::erase_if(all, [](const RangeFigures& each) { return each.count == 0; });
  std::stable_sort(all.begin(), all.end(), [](const RangeFigures& a, const RangeFigures& b) {
    return std::pair(-total(a), std::string_view(*a.name)) <
           std::pair(-total(b), std::string_view(*b.name));
  });
  return all;
}

}  // namespace

std::vector<RangeFigures> range_figures(const RankTrace& trace, const KernelNames& names) {
  std::vector<Events> on_stream(trace.streams.size());
  std::vector<Events> launched(1);
  for (const GpuEvent& event : trace.events) {
    const KernelClass kernel_class = names.kernel_class(event.name);
    on_stream[event.stream].add(event.start, kernel_class, event.end - event.start);
    if (event.launch != GpuEvent::kNoLaunch)
      launched[0].add(event.launch, kernel_class, event.end - event.start);
  }
  for (Events& events : on_stream)
    events.finish();
  launched[0].finish();
  std::vector<RangeFigures> of_gpu = figures_of(trace, true, on_stream);
  return of_gpu.empty() ? figures_of(trace, false, launched) : of_gpu;
}

}  // namespace bubblescope

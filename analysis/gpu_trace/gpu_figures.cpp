#include "analysis/gpu_trace/gpu_figures.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "sim/engine/timeline.h"

namespace bubblescope {
namespace {

/// Below it a gap is what a launch costs: HolisticTraceAnalysis's consecutive_kernel_delay.
constexpr Time kKernelDelay{30'000};

/// What spans cover that come by start.
class Cover {
 public:
  /// The gap that the span ends, if it ends one.
  std::optional<Span> add(Span span) {
    const bool is_apart = spans_.empty() || span.start > end_;
    const auto gap =
        is_apart && !spans_.empty() ? std::optional(Span{end_, span.start}) : std::nullopt;
    if (is_apart)
      spans_.push_back(span);
    else
      spans_.back().end = std::max(spans_.back().end, span.end);
    end_ = spans_.size() == 1 ? spans_.back().end : std::max(end_, span.end);
    return gap;
  }
  Time length() const {
    Time length{};
    for (const Span& span : spans_)
      length += span.length();
    return length;
  }
  const std::vector<Span>& spans() const { return spans_; }
  Time end() const { return end_; }

 private:
  std::vector<Span> spans_;
  Time end_{};  // the last so far
};

Time common_length(const std::vector<Span>& some, const std::vector<Span>& others) {
  Time length{};
  auto a = some.begin();
  auto b = others.begin();
  while (a != some.end() && b != others.end()) {
    length += std::max(Time::zero(), std::min(a->end, b->end) - std::max(a->start, b->start));
    (a->end < b->end ? a : b)++;
  }
  return length;
}

void count_gap(IdleReasons& reasons, Span gap, Time launch) {
  const bool is_late = launch != GpuEvent::kNoLaunch && launch > gap.start;
  (is_late                       ? reasons.host_wait
   : gap.length() < kKernelDelay ? reasons.kernel_wait
                                 : reasons.other) += gap.length();
}

std::vector<StreamFigures> stream_figures(const RankTrace& trace, Span window) {
  std::vector<Cover> covers(trace.streams.size());
  std::vector<StreamFigures> all(trace.streams.size());
  for (const GpuEvent& event : trace.events) {
    StreamFigures& figures = all[event.stream];
    if (figures.events++ == 0)
      figures.idle.before = event.start - window.start;
    if (const auto gap = covers[event.stream].add({event.start, event.end}))
      count_gap(figures.idle, *gap, event.launch);
  }
  for (std::size_t stream = 0; stream < all.size(); ++stream) {
    all[stream].stream = trace.streams[stream];
    all[stream].busy = covers[stream].length();
    all[stream].idle.after = window.end - covers[stream].end();
  }
  return all;
}

std::vector<FamilyFigures> family_figures(const RankTrace& trace, const KernelNames& names) {
  std::vector<FamilyFigures> all(names.families());
  for (const GpuEvent& event : trace.events) {
    FamilyFigures& family = all[names.family(event.name)];
    ++family.count;
    family.time += event.end - event.start;
  }
  for (std::uint32_t family = 0; family < all.size(); ++family) {
    all[family].family = names.family_text(family);
    all[family].kernel_class = names.family_class(family);
  }
  std::erase_if(all, [](const FamilyFigures& family) { return family.count == 0; });
  std::stable_sort(all.begin(), all.end(), [](const FamilyFigures& a, const FamilyFigures& b) {
    return std::pair(-a.time, a.family) < std::pair(-b.time, b.family);
  });
  return all;
}

Span window_of(const RankTrace& trace) {
  Span window{trace.events.front().start, Time::min()};
  for (const GpuEvent& event : trace.events)
    window.end = std::max(window.end, event.end);
  return window;
}

GpuRankFigures rank_figures(const RankTrace& trace, const KernelNames& names, Span window) {
  GpuRankFigures out{.rank = trace.rank,
                     .place = trace.place,
                     .device = trace.device,
                     .window = window.end - window.start};
  Cover busy;
  std::array<Cover, kKernelClasses> covers;
  for (const GpuEvent& event : trace.events) {
    const Span span{event.start, event.end};
    if (const auto gap = busy.add(span))
      count_gap(out.idle_reasons, *gap, event.launch);
    covers[static_cast<std::size_t>(names.kernel_class(event.name))].add(span);
  }
  const auto cover = [&](KernelClass kernel_class) -> const Cover& {
    return covers[static_cast<std::size_t>(kernel_class)];
  };
  out.busy = busy.length();
  out.idle = out.window - out.busy;
  out.idle_reasons.before = trace.events.front().start - window.start;
  out.idle_reasons.after = window.end - busy.end();
  out.compute = cover(KernelClass::Compute).length();
  out.communication = cover(KernelClass::Communication).length();
  out.memory = cover(KernelClass::Memory).length();
  out.overlap =
      common_length(cover(KernelClass::Compute).spans(), cover(KernelClass::Communication).spans());
  out.exposed_communication = out.communication - out.overlap;
  out.streams = stream_figures(trace, window);
  out.families = family_figures(trace, names);
  out.ranges = range_figures(trace, names);
  return out;
}

}  // namespace

GpuFigures gpu_figures(const TraceSet& traces, const KernelNames& names, WindowKind window) {
  GpuFigures figures{.window = window};
  Span common = kNoSpan;
  for (const RankTrace& rank : traces.ranks)
    common.include(window_of(rank));
  for (const RankTrace& rank : traces.ranks)
    figures.ranks.push_back(
        rank_figures(rank, names, window == WindowKind::OfRank ? window_of(rank) : common));
  return figures;
}

}  // namespace bubblescope

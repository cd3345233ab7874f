#include "backend_cuda/cuda/cupti_check.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

namespace bubblescope::gpu {
namespace {

bool has(const KernelTimes& kernel, const char* name) {
  return kernel.name.find(name) != std::string::npos;
}

Span span_of(const KernelTimes& kernel) {
  return {Time(static_cast<std::int64_t>(kernel.start)),
          Time(static_cast<std::int64_t>(kernel.end))};
}

void sort_by_start(std::vector<Span>& spans) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return std::pair(a.start, a.end) < std::pair(b.start, b.end);
  });
}

/// Median and largest, in µs.
std::string spread(std::vector<Time> differences, const char* median, const char* most) {
  std::sort(differences.begin(), differences.end());
  const auto us = [](Time time) { return static_cast<double>(time.count()) / 1e3; };
  return fmt::format("{:.3f} µs{}, {:.3f} µs{}", us(differences[(differences.size() - 1) / 2]),
                     median, us(differences.back()), most);
}

}  // namespace

std::vector<Span> actions_seen(std::vector<KernelTimes> kernels) {
  std::sort(kernels.begin(), kernels.end(), [](const KernelTimes& a, const KernelTimes& b) {
    return std::pair(a.start, a.end) < std::pair(b.start, b.end);
  });
  std::vector<Span> actions;
  std::map<std::uint32_t, std::optional<Span>> open;  // [stream] since the last start
  for (const KernelTimes& kernel : kernels) {
    std::optional<Span>& action = open[kernel.stream];
    if (has(kernel, "timed_action_kernel")) {
      actions.push_back(span_of(kernel));
    } else if (has(kernel, "stamp_start_kernel")) {
      action.reset();
    } else if (!has(kernel, "stamp_end_kernel")) {
      action = action ? Span{action->start, std::max(action->end, span_of(kernel).end)}
                      : span_of(kernel);
    } else if (action) {
      actions.push_back(*action);
      action.reset();
    }
  }
  sort_by_start(actions);
  return actions;
}

std::string compare_actions(std::vector<Span> stamped, std::vector<Span> seen) {
  if (stamped.size() != seen.size() || seen.empty())
    return fmt::format("{} actions told apart, of {} that ran", seen.size(), stamped.size());
  sort_by_start(stamped);
  sort_by_start(seen);
  std::vector<Time> lengths;
  std::vector<Time> starts;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    lengths.push_back(std::chrono::abs(stamped[i].length() - seen[i].length()));
    starts.push_back(
        std::chrono::abs((stamped[i].start - stamped[0].start) - (seen[i].start - seen[0].start)));
  }
  return fmt::format("{} actions: lengths differ by {}, starts by {}", seen.size(),
                     spread(lengths, " (median)", " (most)"), spread(starts, "", ""));
}

}  // namespace bubblescope::gpu

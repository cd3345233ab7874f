#include "analysis/calibration/annotated_trace.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/traces/annotations.h"
#include "sim/base/error.h"
#include "sim/formats/tokens.h"

namespace bubblescope {
namespace {

constexpr std::string_view kPrefix = "PP:";
constexpr std::string_view kStepPrefix = "ProfilerStep#";
constexpr std::string_view kGpu = "gpu_user_annotation";

struct Range {
  Action action;
  Span span;
};

/// What one process of a trace ran: one rank.
struct RankTrace {
  std::string place = {};               ///< "rank0.json, process 7"
  std::vector<Range> ranges = {};       ///< By start.
  std::vector<std::string> steps = {};  ///< "ProfilerStep#3", … by start.

  Stage lowest_stage() const {
    Stage lowest = std::numeric_limits<Stage>::max();
    for (const Range& range : ranges)
      range.action.for_each_op([&](const Op& op) { lowest = std::min(lowest, op.stage()); });
    return lowest;
  }
};

/// The action of a range's name; none for communication.
std::optional<Action> action_of(std::string_view name, const std::string& path) {
  const Word word = [&] {
    try {
      return parse_word(name.substr(kPrefix.size()));
    } catch (const Error& error) {
      throw Error(fmt::format("{}: range '{}': {}", path, name.substr(0, 40), error.what()));
    }
  }();
  if (!is_compute(word.token.kind))
    return std::nullopt;
  if (word.overlapped)
    return Action(op_of(word.token), op_of(*word.overlapped));
  return Action(op_of(word.token));
}

/// The ranges of one trace, by process and thread.
struct FileRanges {
  using ByThread = std::map<std::pair<std::string, std::string>, std::vector<Range>>;
  ByThread of_gpu = {};
  ByThread of_host = {};
  std::vector<std::pair<Time, std::string>> steps = {};
};

FileRanges read_ranges(const std::string& path) {
  FileRanges out;
  const auto counts = [](std::string_view name) {
    return name.starts_with(kPrefix) || name.starts_with(kStepPrefix);
  };
  read_annotations(path, counts, [&](const Annotation& each) {
    const bool is_gpu = each.category == kGpu;
    if (each.name.starts_with(kStepPrefix) && !is_gpu)
      out.steps.emplace_back(each.span.start, each.name);
    if (!each.name.starts_with(kPrefix))
      return;
    if (const auto action = action_of(each.name, path))
      (is_gpu ? out.of_gpu : out.of_host)[{each.process, each.thread}].push_back(
          {*action, each.span});
  });
  std::sort(out.steps.begin(), out.steps.end());
  return out;
}

/// Of each process, the thread that has most ranges: on a GPU, the stream that computes.
std::map<std::string, std::vector<Range>> busiest_threads(FileRanges::ByThread& ranges) {
  std::map<std::string, std::vector<Range>> busiest;
  for (auto& [place, of_thread] : ranges)
    if (auto& best = busiest[place.first]; of_thread.size() > best.size())
      best = std::move(of_thread);
  return busiest;
}

std::vector<RankTrace> read_ranks(const std::string& path, std::vector<std::string>& notes) {
  FileRanges file = read_ranges(path);
  const bool has_gpu = !file.of_gpu.empty();
  if (!has_gpu && file.of_host.empty())
    throw Error(fmt::format(
        "{}: has no ranges of pipeline actions, such as \"PP:0F3\"{}", path,
        file.steps.empty()
            ? ""
            : "; its ProfilerStep ranges say when steps are, not what is done in them"));
  if (!has_gpu)
    notes.push_back(path +
                    ": has ranges of the host alone (no gpu_user_annotation): they say when "
                    "actions were launched");
  std::vector<RankTrace> ranks;
  for (auto& [process, ranges] : busiest_threads(has_gpu ? file.of_gpu : file.of_host)) {
    RankTrace rank{.place = fmt::format("{}, process {}", path, process),
                   .ranges = std::move(ranges)};
    std::stable_sort(rank.ranges.begin(), rank.ranges.end(),
                     [](const Range& a, const Range& b) { return a.span.start < b.span.start; });
    for (const auto& [start, name] : file.steps)
      rank.steps.push_back(name);
    ranks.push_back(std::move(rank));
  }
  return ranks;
}

/// [step] The n-th time that an action ran belongs to step n. Throws Error where one ran less
/// often than another.
std::vector<std::vector<Range>> steps_of(const RankTrace& rank) {
  std::map<std::string, std::size_t> times;
  std::vector<std::vector<Range>> steps;
  for (const Range& range : rank.ranges) {
    const std::size_t step = times[to_string(range.action)]++;
    if (step == steps.size())
      steps.emplace_back();
    steps[step].push_back(range);
  }
  for (const auto& [action, count] : times)
    if (count != steps.size())
      throw Error(fmt::format("{}: {} ran {} times, and {} steps were begun", rank.place, action,
                              count, steps.size()));
  return steps;
}

}  // namespace

RunProfile read_annotated_traces(const std::vector<std::string>& paths) {
  RunProfile profile{.source = fmt::format("traces, {}", fmt::join(paths, ", "))};
  std::vector<RankTrace> ranks;
  for (const std::string& path : paths)
    for (RankTrace& rank : read_ranks(path, profile.notes))
      ranks.push_back(std::move(rank));
  std::sort(ranks.begin(), ranks.end(), [](const RankTrace& a, const RankTrace& b) {
    return a.lowest_stage() < b.lowest_stage();
  });
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (r > 0 && ranks[r].lowest_stage() == ranks[r - 1].lowest_stage())
      throw Error(
          fmt::format("{}: has stage {}, as {}: one pipeline, one trace a rank, is expected",
                      ranks[r].place, ranks[r].lowest_stage(), ranks[r - 1].place));
    const auto steps = steps_of(ranks[r]);
    if (r == 0)
      for (std::size_t step = 0; step < steps.size(); ++step)
        profile.steps.push_back({.name = ranks[r].steps.size() == steps.size()
                                             ? ranks[r].steps[step]
                                             : fmt::format("step {}", step + 1)});
    if (steps.size() != profile.steps.size())
      throw Error(fmt::format("{}: has {} steps, and {} has {}", ranks[r].place, steps.size(),
                              ranks.front().place, profile.steps.size()));
    for (std::size_t step = 0; step < steps.size(); ++step)
      for (const Range& range : steps[step])
        profile.steps[step].actions.push_back({static_cast<Rank>(r), range.action, range.span});
  }
  return profile;
}

}  // namespace bubblescope

#include "backend_cuda/replay/profile.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/engine/simulate.h"

namespace bubblescope {
namespace {

/// Null where there are none.
const StageTimes* find_stage_times(const Profile& profile, int blocks) {
  for (const StageTimes& each : profile.stages)
    if (each.blocks == blocks)
      return &each;
  return nullptr;
}

void add_gaps(const Profile& profile, DependencyGraph& graph) {
  const LaunchGaps& gaps = profile.gaps[static_cast<std::size_t>(graph.posted().comm)];
  const std::span<Time> lags = graph.own_lags();
  for (NodeId node = 0; node < graph.size(); ++node) {
    const bool is_message = graph.is_message(node);
    graph.duration()[node] += is_message ? gaps.message_overrun : profile.action_overrun;
    for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge) {
      const NodeId producer = graph.producer()[edge];
      const bool is_local = graph.rank()[producer] == graph.rank()[node];
      Time& lag = lags[edge];
      if (is_message)
        lag += gaps.action_to_message;
      else if (graph.is_message(producer) || !is_local)
        lag += gaps.message_to_action;
      else
        lag += gaps.action_to_action;
    }
  }
}

/// How many ranks execute an action, as a function of time that can be integrated.
class Crowd {
 public:
  Crowd(const DependencyGraph& graph, const Timeline& timeline) {
    std::vector<std::pair<Time, int>> changes;
    for (NodeId node = 0; node < graph.size(); ++node)
      if (!graph.is_message(node)) {
        changes.emplace_back(timeline.spans[node].start, 1);
        changes.emplace_back(timeline.spans[node].end, -1);
      }
    std::sort(changes.begin(), changes.end());
    double area = 0;
    int busy = 0;
    Time last{};
    for (const auto& [time, change] : changes) {
      area += busy * static_cast<double>((time - last).count());
      busy += change;
      last = time;
      points_.push_back({time, area, busy});
    }
  }

  /// Mean number of busy ranks in a span that is not empty.
  double mean(const Span& span) const {
    return (area_until(span.end) - area_until(span.start)) /
           static_cast<double>(span.length().count());
  }

 private:
  struct Point {
    Time time;
    double area;  // until then
    int busy;     // from then on
  };

  double area_until(Time time) const {
    const auto after = std::upper_bound(points_.begin(), points_.end(), time,
                                        [](Time t, const Point& point) { return t < point.time; });
    if (after == points_.begin())
      return 0;
    const Point& point = *std::prev(after);
    return point.area + point.busy * static_cast<double>((time - point.time).count());
  }

  std::vector<Point> points_ = {};
};

/// By how much an action takes longer while all other ranks work: of a pair, as its ops weigh.
double slowdown_of(const DependencyGraph& graph, const StageTimes& times, const Action& action) {
  double alone = 0;
  double crowded = 0;
  action.for_each_op([&](const Op& op) {
    const auto duration = static_cast<double>(graph.costs().duration(op).count());
    alone += duration;
    crowded += duration * times.slowdown[static_cast<std::size_t>(op.kind())];
  });
  return alone > 0 ? crowded / alone : 1;
}

/// Nothing where ranks share all SMs, for whatever reason.
std::string partitions_of(const MachineFacts& machine) {
  for (const auto& [name, value] : machine)
    if (name == "partitions" && !value.starts_with("none"))
      return value;
  return "";
}

}  // namespace

std::optional<std::string> other_partitions(const MachineFacts& measured,
                                            const MachineFacts& here) {
  const std::string before = partitions_of(measured);
  const std::string now = partitions_of(here);
  if (before == now)
    return std::nullopt;
  const auto words = [](const std::string& partitions) {
    return partitions.empty() ? "no partitions of the SMs" : partitions;
  };
  return fmt::format("{} then, {} now", words(before), words(now));
}

CostSource costs_of(const Profile& profile, const Placement& placement, int blocks) {
  if (placement.ranks != profile.ranks)
    throw Error(fmt::format("the profile was measured with {} ranks, and the schedule has {}",
                            profile.ranks, placement.ranks));
  const StageTimes* times = find_stage_times(profile, blocks);
  if (times == nullptr)
    throw Error(fmt::format("the profile has no times for stages of {} blocks: calibrate for them",
                            blocks));
  CostSource costs{.name = "measured on " + profile.machine.front().second,
                   .description = profile.command,
                   .stage_by_stage = true,
                   .stages = std::vector(static_cast<std::size_t>(placement.depth), times->middle),
                   .link = {.latency = profile.p2p}};
  costs.stages.back() = times->last;
  costs.stages.front() = times->first;
  if (profile.links) {
    for (StageCost& stage : costs.stages)
      stage.message = profile.options.shape.message_bytes();
    lay_links(*profile.links, costs);
  }
  return costs;
}

Timeline simulate_on(const Profile& profile, DependencyGraph& graph, int blocks) {
  constexpr int kRounds = 4;  // each action's crowd depends on all durations: a fixed point
  add_gaps(profile, graph);
  Timeline timeline = simulate(graph);
  const StageTimes* times = find_stage_times(profile, blocks);
  const int others = graph.schedule().placement.ranks - 1;
  if (times == nullptr || others == 0)
    return timeline;
  const std::vector<Time> alone(graph.duration().begin(), graph.duration().end());
  for (int round = 0; round < kRounds; ++round) {
    const Crowd crowd(graph, timeline);
    for (NodeId node = 0; node < graph.size(); ++node) {
      if (graph.is_message(node) || timeline.spans[node].length() <= Time::zero())
        continue;
      const double share = (crowd.mean(timeline.spans[node]) - 1) / others;
      const double factor =
          1 + (slowdown_of(graph, *times, graph.action(node)) - 1) * std::clamp(share, 0.0, 1.0);
      graph.duration()[node] =
          Time(std::llround(factor * static_cast<double>(alone[node].count())));
    }
    timeline = simulate(graph);
  }
  return timeline;
}

}  // namespace bubblescope

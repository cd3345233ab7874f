#include "analysis/calibration/measured_costs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/simulate.h"

namespace bubblescope {
namespace {

constexpr std::size_t kPair = kOpKinds;  // beside the four kinds of ops
constexpr std::size_t kKinds = kOpKinds + 1;
constexpr std::array<const char*, kKinds> kKindNames = {"F", "I", "W", "B", "F&B"};

Time rounded(double nanoseconds) {
  return Time(std::llround(nanoseconds));
}

/// Linear between neighbours; `sorted` is not empty.
Time quantile(const std::vector<Time>& sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const auto gap = static_cast<double>((sorted[above] - sorted[below]).count());
  return sorted[below] + rounded((place - static_cast<double>(below)) * gap);
}

Time median(std::vector<Time> times) {
  std::sort(times.begin(), times.end());
  constexpr double kHalf = 0.5;
  return quantile(times, kHalf);
}

double median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return (numbers[(numbers.size() - 1) / 2] + numbers[numbers.size() / 2]) / 2;
}

double relative_error(Time simulated, Time measured) {
  return measured == Time::zero() ? 0
                                  : static_cast<double>((simulated - measured).count()) /
                                        static_cast<double>(measured.count());
}

/// The kinds that an action counts for, with the stages: of a pair, of both its stages.
template <typename Visitor>
void for_each_place(const Schedule& schedule, const Action& action, Visitor&& visit) {
  action.for_each_op([&](const Op& op) {
    const auto stage = static_cast<std::size_t>(op.stage() % schedule.placement.depth);
    visit(stage * kKinds + (action.is_pair() ? kPair : static_cast<std::size_t>(op.kind())));
  });
}

/// The run's program as a graph whose times are set from what was measured.
class Replayer {
 public:
  explicit Replayer(const MeasuredRun& run)
      : run_(run), graph_(build_graph(run.program, free_costs(run.program.schedule.placement))) {
    for (NodeId node = 0; node < graph_.size(); ++node)
      for (EdgeId edge = graph_.first_edge()[node]; edge < graph_.first_edge()[node + 1]; ++edge)
        if (graph_.rank()[node] != graph_.rank()[graph_.producer()[edge]])
          hops_.push_back(edge);
  }

  const Schedule& schedule() const { return graph_.schedule(); }

  /// `duration(index)` is that of schedule().actions[index].
  template <typename Durations>
  void set_durations(const Durations& duration) {
    for (NodeId node = 0; node < graph_.size(); ++node)
      if (!graph_.is_message(node))
        graph_.duration()[node] = duration(graph_.action_index()[node]);
  }

  Time length(Time hop) {
    if (graph_.messages().empty())
      for (const EdgeId edge : hops_)
        graph_.own_lags()[edge] = hop;
    for (NodeId node = 0; node < graph_.size(); ++node)
      if (graph_.is_message(node))
        graph_.duration()[node] = hop;
    const Timeline timeline = simulate(graph_);
    std::vector<Span> spans(schedule().actions.size());
    for (NodeId node = 0; node < graph_.size(); ++node)
      if (!graph_.is_message(node))
        spans[graph_.action_index()[node]] = timeline.spans[node];
    return step_length(schedule(), spans, run_.has_common_clock);
  }

  /// The latency that brings the step closest to `target`; 0 where none brings it closer.
  Time fit(Time target) {
    if (hops_.empty() || length(Time::zero()) >= target)
      return Time::zero();
    Time below{};          // too short
    Time enough = target;  // one hop alone takes as long
    while (enough - below > Time(1)) {
      const Time middle = below + (enough - below) / 2;
      (length(middle) < target ? below : enough) = middle;
    }
    return target - length(below) < length(enough) - target ? below : enough;
  }

 private:
  const MeasuredRun& run_;
  DependencyGraph graph_;
  std::vector<EdgeId> hops_ = {};
};

struct Sample {
  Time duration;
  std::size_t step;
  std::uint32_t action;
};

DurationFigures figures_of(const MeasuredRun& run, std::vector<Sample> samples) {
  std::stable_sort(samples.begin(), samples.end(),
                   [](const Sample& a, const Sample& b) { return a.duration < b.duration; });
  std::vector<Time> sorted;
  sorted.reserve(samples.size());
  for (const Sample& sample : samples)
    sorted.push_back(sample.duration);
  constexpr double kQuarter = 0.25;
  DurationFigures out{.count = sorted.size(),
                      .q1 = quantile(sorted, kQuarter),
                      .median = quantile(sorted, 2 * kQuarter),
                      .q3 = quantile(sorted, 3 * kQuarter)};
  constexpr int kTwentieth = 20;
  const Time margin = std::max(3 * (out.q3 - out.q1), out.median / kTwentieth);
  const Sample* farthest = nullptr;
  for (const Sample& sample : samples) {
    if (sample.duration >= out.q1 - margin && sample.duration <= out.q3 + margin)
      continue;
    ++out.outliers;
    if (farthest == nullptr || std::chrono::abs(sample.duration - out.median) >
                                   std::chrono::abs(farthest->duration - out.median))
      farthest = &sample;
  }
  if (farthest != nullptr) {
    out.farthest = farthest->duration;
    out.farthest_place = run.steps[farthest->step].name + ", " +
                         to_string(run.program.schedule.actions[farthest->action]);
  }
  return out;
}

/// [stage · kKinds + kind] none where no such action ran.
using Figures = std::vector<std::optional<DurationFigures>>;

Figures all_figures(const MeasuredRun& run, std::size_t first_step) {
  const Schedule& schedule = run.program.schedule;
  const auto depth = static_cast<std::size_t>(schedule.placement.depth);
  std::vector<std::vector<Sample>> samples(depth * kKinds);
  for (std::size_t step = first_step; step < run.steps.size(); ++step)
    for (std::uint32_t i = 0; i < schedule.actions.size(); ++i)
      for_each_place(schedule, schedule.actions[i], [&](std::size_t place) {
        samples[place].push_back({run.steps[step].spans[i].length(), step, i});
      });
  Figures figures(samples.size());
  for (std::size_t place = 0; place < samples.size(); ++place) {
    if (samples[place].empty())
      continue;
    figures[place] = figures_of(run, std::move(samples[place]));
    figures[place]->stage = static_cast<Stage>(place / kKinds);
    figures[place]->kind = kKindNames[place % kKinds];
  }
  return figures;
}

/// [stage · kKinds + kind] of one step.
std::vector<Time> means_of(const Schedule& schedule, const MeasuredStep& step) {
  const auto places = static_cast<std::size_t>(schedule.placement.depth) * kKinds;
  std::vector<Time> sums(places);
  std::vector<std::int64_t> counts(places);
  for (std::size_t i = 0; i < schedule.actions.size(); ++i)
    for_each_place(schedule, schedule.actions[i], [&](std::size_t place) {
      sums[place] += step.spans[i].length();
      ++counts[place];
    });
  for (std::size_t place = 0; place < places; ++place)
    if (counts[place] > 0)
      sums[place] = (sums[place] + Time(counts[place] / 2)) / counts[place];
  return sums;
}

/// Of an action, from what its places have; of a pair the mean of its stages.
Time duration_of(const Schedule& schedule, const Action& action, const std::vector<Time>& times) {
  Time sum{};
  for_each_place(schedule, action, [&](std::size_t place) { sum += times[place]; });
  return action.is_pair() ? (sum + Time(1)) / 2 : sum;
}

StepReplay replay_of(Replayer& replayer, const MeasuredStep& step, Time& hop) {
  const Schedule& schedule = replayer.schedule();
  StepReplay out{.name = step.name, .measured = step.length};
  replayer.set_durations([&](std::size_t action) { return step.spans[action].length(); });
  out.by_actions = replayer.length(Time::zero());
  hop = replayer.fit(step.length);
  const std::vector<Time> means = means_of(schedule, step);
  replayer.set_durations(
      [&](std::size_t action) { return duration_of(schedule, schedule.actions[action], means); });
  out.by_means = replayer.length(Time::zero());
  return out;
}

void mark_outliers(Time middle, std::vector<StepReplay>& steps) {
  std::vector<Time> distances;
  distances.reserve(steps.size());
  for (const StepReplay& step : steps)
    distances.push_back(std::chrono::abs(step.measured - middle));
  constexpr int kFiftieth = 50;
  const Time most = std::max(5 * median(distances), middle / kFiftieth);
  for (StepReplay& step : steps)
    step.is_outlier = std::chrono::abs(step.measured - middle) > most;
}

StageCost stage_cost(const MeasuredRun& run, const Figures& figures, std::size_t stage,
                     bool& is_split) {
  const auto time = [&](std::size_t kind) -> std::optional<Time> {
    const auto& figure = figures[stage * kKinds + kind];
    return figure ? std::optional(figure->median) : std::nullopt;
  };
  const auto forward = time(static_cast<std::size_t>(OpKind::Forward));
  const auto input_grad = time(static_cast<std::size_t>(OpKind::BackwardInput));
  const auto weight_grad = time(static_cast<std::size_t>(OpKind::BackwardWeight));
  const auto backward = time(static_cast<std::size_t>(OpKind::Backward));
  const bool has_halves = input_grad && weight_grad;
  if (!forward || (!backward && !has_halves))
    throw Error(
        fmt::format("{}: stage {} never ran a {} by itself, so that what it costs is unknown",
                    run.source, stage, forward ? "backward" : "forward"));
  is_split = is_split || !has_halves;
  StageCost cost{.forward = *forward, .backward = backward, .overlapped = time(kPair)};
  cost.input_grad = has_halves ? *input_grad : *backward / 2;
  cost.weight_grad = has_halves ? *weight_grad : *backward - *backward / 2;
  return cost;
}

std::size_t first_step_of(const MeasuredRun& run, std::optional<int> warm_ups) {
  const int count = static_cast<int>(run.steps.size());
  const int first = warm_ups.value_or(run.warm_ups < count ? run.warm_ups : 0);
  if (first >= count)
    throw Error(fmt::format("{}: has {} step{}, and {} are left out", run.source, count,
                            count == 1 ? "" : "s", first));
  return static_cast<std::size_t>(first);
}

/// Simulates every step, and the medians, and fits the latency.
void add_replays(const MeasuredRun& run, std::size_t first_step, MeasuredCosts& out,
                 const Figures& figures) {
  Replayer replayer(run);
  std::vector<Time> lengths;
  std::vector<Time> hops;
  std::vector<double> by_actions;
  std::vector<double> by_means;
  for (std::size_t i = first_step; i < run.steps.size(); ++i) {
    hops.emplace_back();
    out.steps.push_back(replay_of(replayer, run.steps[i], hops.back()));
    lengths.push_back(out.steps.back().measured);
    by_actions.push_back(out.steps.back().error_by_actions());
    by_means.push_back(out.steps.back().error_by_means());
  }
  out.measured = median(lengths);
  mark_outliers(out.measured, out.steps);
  out.error_by_actions = median(by_actions);
  out.error_by_means = median(by_means);
  out.hop_by_actions = median(hops);
  std::vector<Time> medians;
  for (const auto& figure : figures)
    medians.push_back(figure ? figure->median : Time::zero());
  const Schedule& schedule = replayer.schedule();
  replayer.set_durations(
      [&](std::size_t action) { return duration_of(schedule, schedule.actions[action], medians); });
  out.by_medians = replayer.length(Time::zero());
  out.costs.link.latency = replayer.fit(out.measured);
  out.by_costs = replayer.length(out.costs.link.latency);
}

}  // namespace

double StepReplay::error_by_actions() const {
  return relative_error(by_actions, measured);
}

double StepReplay::error_by_means() const {
  return relative_error(by_means, measured);
}

double MeasuredCosts::error_by_medians() const {
  return relative_error(by_medians, measured);
}

double MeasuredCosts::error_by_costs() const {
  return relative_error(by_costs, measured);
}

MeasuredCosts measure_costs(const MeasuredRun& run, std::optional<int> warm_ups) {
  const Schedule& schedule = run.program.schedule;
  const std::size_t first = first_step_of(run, warm_ups);
  MeasuredCosts out{.source = run.source,
                    .schedule = schedule.name,
                    .ranks = schedule.placement.ranks,
                    .microbatches = schedule.microbatches,
                    .chunks = schedule.placement.chunks(),
                    .comm = run.program.comm,
                    .has_common_clock = run.has_common_clock};
  for (std::size_t i = 0; i < first; ++i)
    out.left_out.push_back(run.steps[i].name);
  const Figures figures = all_figures(run, first);
  out.costs = {.name = "measured", .ranks = out.ranks, .stage_by_stage = true};
  for (std::size_t stage = 0; stage < static_cast<std::size_t>(schedule.placement.depth); ++stage)
    out.costs.stages.push_back(stage_cost(run, figures, stage, out.is_backward_split));
  for (const auto& figure : figures)
    if (figure)
      out.durations.push_back(*figure);
  add_replays(run, first, out, figures);
  out.costs.description =
      fmt::format("bubblescope calibrate; {}: {}, {} ranks, {} micro-batches, {} steps", run.source,
                  out.schedule, out.ranks, out.microbatches, out.steps.size());
  return out;
}

}  // namespace bubblescope

#include "analysis/figures/iteration.h"

#include <algorithm>

#include "sim/engine/simulate.h"

namespace bubblescope {
namespace {

StepEnds ends_of(const DependencyGraph& graph, const Timeline& timeline) {
  const Placement& placement = graph.schedule().placement;
  StepEnds ends{
      rank_spans(graph, timeline),
      std::vector<Span>(static_cast<std::size_t>(placement.stages()), {Time::min(), Time::min()})};
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (graph.is_message(node))
      continue;
    graph.action(node).for_each_op([&](const Op& op) {
      if (op.kind() == OpKind::Backward || op.kind() == OpKind::BackwardWeight) {
        Span& stage = ends.stage[static_cast<std::size_t>(op.stage())];
        if (timeline.spans[node].end > stage.end)
          stage = timeline.spans[node];
      }
    });
  }
  return ends;
}

/// The reduction of one stage's gradients, by all ranks that hold a copy: in buckets, a layer each,
/// where it is overlapped. The last one is ready when the last layer's gradients are.
struct Reduction {
  Time ready = Time::min();
  Time earliest_end = Time::min();
  Time length{};
  std::vector<Rank> ranks = {};
};

std::vector<Reduction> reductions(const Placement& placement, const StepEnds& ends,
                                  std::span<const UpdateTimes> updates, GradReduce when) {
  std::vector<Reduction> result(static_cast<std::size_t>(placement.depth));
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const auto number = static_cast<std::size_t>(stage);
    const Rank rank = placement.rank(stage);
    Reduction& reduction = result[static_cast<std::size_t>(placement.weights_of_stage[number])];
    const Time length = updates[number].grad_reduce;
    const std::int64_t layers = updates[number].layers;
    const Span& last = ends.stage[number];
    const bool is_overlapped = when == GradReduce::Overlapped;
    const Time moment = is_overlapped ? last.start + (last.end - last.start) / layers
                                      : ends.rank[static_cast<std::size_t>(rank)].end;
    reduction.ready = std::max(reduction.ready, moment);
    if (is_overlapped && length > Time::zero())
      reduction.earliest_end = std::max(reduction.earliest_end, last.end + length / layers);
    reduction.length = std::max(reduction.length, length);
    reduction.ranks.push_back(rank);
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Reduction& a, const Reduction& b) { return a.ready < b.ready; });
  return result;
}

}  // namespace

std::optional<IterationReport> end_iteration(const Placement& placement, const StepEnds& ends,
                                             std::span<const UpdateTimes> updates,
                                             IterationOptions options) {
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  std::vector<Time> optimizer(ranks);  // [rank]
  bool is_told = false;
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const UpdateTimes& update = updates[static_cast<std::size_t>(stage)];
    optimizer[static_cast<std::size_t>(placement.rank(stage))] += update.optimizer;
    is_told = is_told || update.grad_reduce + update.optimizer > Time{};
  }
  if (!is_told)
    return std::nullopt;
  IterationReport report{.options = options};
  report.per_rank.resize(ranks);
  std::vector<Time> free(ranks, Time::min());  // when a rank's last reduction ends
  for (const Reduction& reduction : reductions(placement, ends, updates, options.reduce)) {
    Time start = reduction.ready;
    for (const Rank rank : reduction.ranks)
      start = std::max(start, free[static_cast<std::size_t>(rank)]);
    for (const Rank rank : reduction.ranks)
      free[static_cast<std::size_t>(rank)] =
          std::max(start + reduction.length, reduction.earliest_end);
  }
  Time all_reduced = Time::min();
  Time first_start = Time::max();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const Span& span = ends.rank[rank];
    report.per_rank[rank].reduced = std::max(free[rank], span.end);
    all_reduced = std::max(all_reduced, report.per_rank[rank].reduced);
    first_start = std::min(first_start, span.start);
    report.exposed_reduce =
        std::max(report.exposed_reduce, report.per_rank[rank].reduced - span.end);
  }
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const bool is_global = options.sync == OptimizerSync::Global;
    IterationEnd& end = report.per_rank[rank];
    end.optimized = (is_global ? all_reduced : end.reduced) + optimizer[rank];
    const Time begin = is_global ? first_start : ends.rank[rank].start;
    report.time = std::max(report.time, end.optimized - begin);
  }
  return report;
}

std::optional<IterationReport> end_iteration(const DependencyGraph& graph, const Timeline& timeline,
                                             IterationOptions options) {
  const Placement& placement = graph.schedule().placement;
  std::vector<UpdateTimes> updates;
  bool is_told = false;
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const CostModel& costs = graph.costs();
    updates.push_back({costs.grad_reduce(stage), costs.optimizer(stage), costs.layers(stage)});
    is_told = is_told || updates.back().grad_reduce + updates.back().optimizer > Time{};
  }
  if (!is_told)
    return std::nullopt;
  return end_iteration(placement, ends_of(graph, timeline), updates, options);
}

}  // namespace bubblescope

#include "analysis/figures/report.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "analysis/figures/exposed_messages.h"
#include "analysis/figures/format.h"
#include "sim/engine/simulate.h"

namespace bubblescope {
namespace {

/// busy, span and idle of each rank, and the step time.
void add_times(const DependencyGraph& graph, const Timeline& timeline, Report& out) {
  for (NodeId node = 0; node < graph.size(); ++node)
    if (!graph.is_message(node))
      out.per_rank[static_cast<std::size_t>(graph.rank()[node])].busy +=
          timeline.spans[node].length();
  const std::vector<Span> spans = rank_spans(graph, timeline);
  Span step = kNoSpan;
  for (std::size_t rank = 0; rank < spans.size(); ++rank) {
    out.per_rank[rank].span = spans[rank].length();
    step.include(spans[rank]);
  }
  out.step_time = step.length();
  for (RankReport& rank : out.per_rank)
    rank.idle = out.step_time - rank.busy;
}

/// What the ranks wait for, and messages that nothing hides.
void add_waiting(const DependencyGraph& graph, const Timeline& timeline, Report& out) {
  const std::vector<IdleByCause> idle = idle_by_cause(graph, timeline);
  const std::vector<Time> exposed = exposed_messages(graph, timeline);
  for (std::size_t rank = 0; rank < out.per_rank.size(); ++rank) {
    out.per_rank[rank].idle_by_cause = idle[rank];
    out.per_rank[rank].exposed_comm += exposed[rank];
  }
}

/// Live activations, and communication that nothing hides, along the order of one rank.
void follow_order(const DependencyGraph& graph, Inside inside, RankReport& out) {
  const CostModel& costs = graph.costs();
  int live = 0;
  for (const Action& action : graph.schedule().order(out.rank)) {
    if (inside == Inside::AsCostsTell)
      out.exposed_comm += costs.exposed_communication(action);
    action.for_each_op([&](const Op& op) {
      live += live_activation_change(op.kind());
      out.peak_live_activations = std::max(out.peak_live_activations, live);
    });
  }
}

/// The peak of each rank: weights of the stages that it hosts, activations along its order, which
/// is that of its nodes.
void add_memory(const DependencyGraph& graph, const Timeline& timeline, Report& out) {
  const CostModel& costs = graph.costs();
  if (!costs.tells_sizes())
    return;
  for (RankReport& rank : out.per_rank)
    rank.peak = MemoryPeak{};
  std::vector<Bytes> live(out.per_rank.size());
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (graph.is_message(node))
      continue;
    const auto rank = static_cast<std::size_t>(graph.rank()[node]);
    MemoryPeak& peak = *out.per_rank[rank].peak;
    const Action& action = graph.action(node);
    action.for_each_op([&](const Op& op) {
      live[rank] += costs.activation_change(op);
      if (live[rank] > peak.activations)
        peak = {.activations = live[rank], .at = timeline.spans[node].start, .action = action};
    });
  }
  const Placement& placement = graph.schedule().placement;
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const auto host = static_cast<std::size_t>(placement.rank(stage));
    out.per_rank[host].peak->weights += costs.weight_bytes(stage);
  }
}

void summarize(Report& out) {
  Time busy{};
  Time idle{};
  for (const RankReport& rank : out.per_rank) {
    busy += rank.busy;
    idle += rank.idle;
    out.span_bubble = std::max(out.span_bubble, ratio(rank.span - rank.busy, rank.span));
    out.peak_live_activations = std::max(out.peak_live_activations, rank.peak_live_activations);
    out.peak_memory = std::max(out.peak_memory, rank.peak_memory());
  }
  out.bubble_fraction = ratio(idle, busy + idle);
  out.bubble_overhead = ratio(idle, busy);
  out.peak_activation_share = static_cast<double>(out.peak_live_activations) / out.chunks;
}

}  // namespace

std::string comm_words(const Report& report) {
  std::string text = fmt::format("{} communication", to_string(report.comm));
  if (has_channels(report.comm))
    text += fmt::format(", one channel a {}", to_string(report.channels));
  return text;
}

std::string search_assumption(const Report& report) {
  std::string text = report.comm == Comm::Ideal ? "" : "ideal communication";
  if (!report.links.empty())
    text += text.empty() ? "no contention" : " and no contention";
  return text;
}

std::string setting(const Report& report) {
  std::string gpus;
  if (report.throughput)
    gpus = fmt::format(" ({} GPU{})", report.throughput->gpus,
                       report.throughput->gpus == 1 ? "" : "s");
  return fmt::format("{} rank{}{}, {} micro-batch{}, {}", report.ranks,
                     report.ranks == 1 ? "" : "s", gpus, report.microbatches,
                     report.microbatches == 1 ? "" : "es", comm_words(report));
}

Throughput throughput(const StepWork& work, Time time) {
  const double seconds = std::chrono::duration<double>(time).count();
  Throughput result{.gpus = work.gpus};
  if (seconds > 0) {
    result.tokens_per_second = work.tokens / seconds;
    result.mfu = work.flops / (work.peak * seconds);
    result.mfu_full_attention = work.flops_full_attention / (work.peak * seconds);
  }
  return result;
}

const Percentiles* Report::noisy_time() const {
  if (!noise)
    return nullptr;
  return noise->iteration ? &*noise->iteration : &noise->step_time;
}

Time Report::ranked_time() const {
  return noise ? Time(std::llround(noisy_time()->p50)) : whole_time();
}

double SearchFigures::above_bound() const {
  return ratio(reached - bound(), bound());
}

Report report(const DependencyGraph& graph, const Timeline& timeline, Inside inside) {
  const Schedule& schedule = graph.schedule();
  Report out{.schedule = schedule.name,
             .ranks = schedule.placement.ranks,
             .microbatches = schedule.microbatches,
             .chunks = schedule.placement.chunks(),
             .comm = graph.posted().comm,
             .channels = graph.posted().channels,
             .weight_copies = schedule.placement.weight_copies()};
  out.per_rank.resize(static_cast<std::size_t>(out.ranks));
  for (Rank rank = 0; rank < out.ranks; ++rank) {
    out.per_rank[static_cast<std::size_t>(rank)].rank = rank;
    follow_order(graph, inside, out.per_rank[static_cast<std::size_t>(rank)]);
  }
  add_times(graph, timeline, out);
  add_waiting(graph, timeline, out);
  add_memory(graph, timeline, out);
  out.links = link_reports(graph, timeline);
  summarize(out);
  return out;
}

}  // namespace bubblescope

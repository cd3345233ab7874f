#include "analysis/plan/compiled_order.h"

#include <algorithm>
#include <map>
#include <optional>

#include "analysis/figures/format.h"
#include "sim/engine/dependency_graph.h"

namespace bubblescope {
namespace {

/// Costs in which a message takes as many nanoseconds as its number: the place of the stage before
/// it in its pipe, from 1.
CostModel numbers_for_costs(const Placement& placement) {
  CostSource source{.name = "numbers", .stage_by_stage = true};
  source.link.bytes_per_second = 1e9;
  for (int position = 0; position < placement.depth; ++position)
    source.stages.push_back({.message = position + 1});
  return CostModel(source, placement, {});
}

/// The stage before the boundary that the output of `op` crosses.
Stage stage_before(const Op& op) {
  return op.kind() == OpKind::Forward ? op.stage() : op.stage() - 1;
}

bool makes_gradients(const Op& op) {
  return op.kind() == OpKind::Backward || op.kind() == OpKind::BackwardWeight;
}

bool contains(const std::vector<std::int32_t>& more, const std::vector<std::int32_t>& less) {
  return std::equal(more.begin(), more.end(), less.begin(), std::greater_equal<>());
}

}  // namespace

CompiledOrder::CompiledOrder(const CatalogueEntry& entry, Shape shape, Comm comm)
    : CompiledOrder(post_messages(entry, shape, comm)) {}

CompiledOrder::CompiledOrder(PostedProgram posted)
    : placement_(posted.schedule.placement), microbatches_(posted.schedule.microbatches) {
  stages_of_rank_.resize(static_cast<std::size_t>(placement_.ranks));
  for (Stage stage = 0; stage < placement_.stages(); ++stage)
    stages_of_rank_[static_cast<std::size_t>(placement_.rank(stage))].push_back(stage);
  const DependencyGraph graph = build_graph(std::move(posted), numbers_for_costs(placement_));
  number_nodes(graph);
  number_edges(graph);
  find_held(graph.schedule());
}

void CompiledOrder::number_nodes(const DependencyGraph& graph) {
  const auto stages = static_cast<std::uint32_t>(placement_.stages());
  const auto first_pair = stages * (kOpKinds + 1);  // ops, then messages
  std::map<std::pair<Stage, Stage>, std::uint32_t> pairs;
  constexpr std::uint32_t kNone = ~std::uint32_t{0};
  first_node_.assign(stages_of_rank_.size(), kNone);
  last_node_.assign(stages_of_rank_.size(), 0);
  last_backward_.assign(stages, 0);
  count_of_cost_.assign(first_pair, 0);
  cost_of_node_.reserve(graph.size());
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (graph.is_message(node)) {
      const Stage before = stage_before(graph.message(node).output);
      cost_of_node_.push_back(stages * kOpKinds + static_cast<std::uint32_t>(before));
      continue;
    }
    const auto rank = static_cast<std::size_t>(graph.rank()[node]);
    first_node_[rank] = std::min(first_node_[rank], node);
    last_node_[rank] = node;
    const Action& action = graph.action(node);
    action.for_each_op([&](const Op& op) {
      if (makes_gradients(op))
        last_backward_[static_cast<std::size_t>(op.stage())] = node;
    });
    auto entry = static_cast<std::uint32_t>(action.op().stage_and_kind());
    if (action.is_pair()) {
      const std::pair key(action.op().stage(), action.overlapped().stage());
      entry = pairs.emplace(key, first_pair + pairs.size()).first->second;
      if (entry == count_of_cost_.size()) {
        pairs_.push_back(key);
        count_of_cost_.push_back(0);
      }
    }
    ++count_of_cost_[entry];
    cost_of_node_.push_back(entry);
  }
}

void CompiledOrder::number_edges(const DependencyGraph& graph) {
  first_edge_.assign(graph.first_edge().begin(), graph.first_edge().end());
  producer_.assign(graph.producer().begin(), graph.producer().end());
  has_lags_ = !graph.lag().are_zero();
  if (!has_lags_)
    return;
  for (std::size_t edge = 0; edge < producer_.size(); ++edge) {
    const Time lag = graph.lag()[static_cast<EdgeId>(edge)];
    std::uint32_t number = 0;
    // Where both ops of a pair cross the boundary of that place, they go to the same rank.
    if (lag > Time::zero())
      graph.action(producer_[edge]).for_each_op([&](const Op& op) {
        const Stage before = stage_before(op);
        if (op.kind() != OpKind::BackwardWeight && before >= 0 &&
            before % placement_.depth + 1 == lag.count())
          number = static_cast<std::uint32_t>(before) + 1;
      });
    lag_of_edge_.push_back(number);
  }
}

/// Follows each rank's order: a moment counts where less is held after it.
void CompiledOrder::find_held(const Schedule& schedule) {
  std::vector<std::size_t> place(static_cast<std::size_t>(placement_.stages()));
  for (const std::vector<Stage>& stages : stages_of_rank_)
    for (std::size_t i = 0; i < stages.size(); ++i)
      place[static_cast<std::size_t>(stages[i])] = i;
  for (std::size_t rank = 0; rank < stages_of_rank_.size(); ++rank) {
    const std::size_t count = stages_of_rank_[rank].size();
    Held now{std::vector<std::int32_t>(count), std::vector<std::int32_t>(count)};
    std::vector<Held>& most = held_.emplace_back();
    std::size_t latest = 0;  // which contained the last moment
    const auto note = [&] {
      const auto is_within = [&](const Held& held) {
        return contains(held.whole, now.whole) && contains(held.rest, now.rest);
      };
      if (latest < most.size() && is_within(most[latest]))
        return;
      const auto found = std::find_if(most.begin(), most.end(), is_within);
      latest = static_cast<std::size_t>(found - most.begin());
      if (found != most.end())
        return;
      std::erase_if(most, [&](const Held& held) {
        return contains(now.whole, held.whole) && contains(now.rest, held.rest);
      });
      most.push_back(now);
      latest = most.size() - 1;
    };
    for (const Action& action : schedule.order(static_cast<Rank>(rank)))
      action.for_each_op([&](const Op& op) {
        const std::size_t at = place[static_cast<std::size_t>(op.stage())];
        if (op.kind() != OpKind::Forward)
          note();
        now.whole[at] += op.kind() == OpKind::Forward          ? 1
                         : op.kind() == OpKind::BackwardWeight ? 0
                                                               : -1;
        now.rest[at] += op.kind() == OpKind::BackwardInput    ? 1
                        : op.kind() == OpKind::BackwardWeight ? -1
                                                              : 0;
      });
  }
}

Bytes CompiledOrder::peak_memory(const SplitCosts& costs) const {
  Bytes most = 0;
  for (std::size_t rank = 0; rank < stages_of_rank_.size(); ++rank) {
    const std::vector<Stage>& stages = stages_of_rank_[rank];
    Bytes weights = 0;
    for (const Stage stage : stages)
      weights += costs[position(stage)].weights;
    Bytes live = 0;
    for (const Held& held : held_[rank]) {
      Bytes sum = 0;
      for (std::size_t i = 0; i < stages.size(); ++i) {
        const StageFigures& stage = costs[position(stages[i])];
        sum += held.whole[i] * stage.activation + held.rest[i] * stage.rest;
      }
      live = std::max(live, sum);
    }
    most = std::max(most, weights + live);
  }
  return most;
}

std::vector<Time> CompiledOrder::cost_table(SplitCosts& costs) const {
  std::vector<Time> table;
  for (Stage stage = 0; stage < placement_.stages(); ++stage)
    for (const Time time : costs[position(stage)].times)
      table.push_back(time);
  const std::vector<Time> lags = lag_table(costs);
  table.insert(table.end(), lags.begin() + 1, lags.end());
  for (const auto& [forward, backward] : pairs_)
    table.push_back(costs.pair(position(forward), position(backward)));
  return table;
}

/// [stage before + 1]
std::vector<Time> CompiledOrder::lag_table(const SplitCosts& costs) const {
  std::vector<Time> table = {Time::zero()};
  for (Stage stage = 0; stage < placement_.stages(); ++stage)
    table.push_back(stage % placement_.depth + 1 < placement_.depth
                        ? costs.hop(placement_.rank(stage), placement_.rank(stage + 1),
                                    costs[position(stage)].message)
                        : Time::zero());
  return table;
}

PlanFigures CompiledOrder::run(SplitCosts& costs, IterationOptions options) const {
  const std::vector<Time> cost = cost_table(costs);
  const std::vector<Time> lag = lag_table(costs);
  thread_local std::vector<Time> ends;
  ends.resize(cost_of_node_.size());
  std::uint32_t edge = 0;
  for (std::size_t node = 0; node < ends.size(); ++node) {
    Time start = Time::zero();
    const std::uint32_t end = first_edge_[node + 1];
    if (has_lags_)
      for (; edge < end; ++edge)
        start = std::max(start, ends[producer_[edge]] + lag[lag_of_edge_[edge]]);
    else
      for (; edge < end; ++edge)
        start = std::max(start, ends[producer_[edge]]);
    ends[node] = start + cost[cost_of_node_[node]];
  }
  const auto span_of = [&](std::uint32_t node) {
    return Span{ends[node] - cost[cost_of_node_[node]], ends[node]};
  };
  StepEnds step;
  Span whole = kNoSpan;
  for (std::size_t rank = 0; rank < stages_of_rank_.size(); ++rank) {
    step.rank.push_back({span_of(first_node_[rank]).start, ends[last_node_[rank]]});
    whole.include(step.rank.back());
  }
  std::vector<UpdateTimes> updates;
  for (Stage stage = 0; stage < placement_.stages(); ++stage) {
    const StageFigures& of_stage = costs[position(stage)];
    step.stage.push_back(span_of(last_backward_[static_cast<std::size_t>(stage)]));
    updates.push_back({of_stage.grad_reduce, of_stage.optimizer, of_stage.layers});
  }
  PlanFigures figures{.step_time = whole.length(), .peak_memory = peak_memory(costs)};
  const auto iteration = end_iteration(placement_, step, updates, options);
  figures.iteration_time = iteration ? iteration->time : figures.step_time;
  for (std::size_t entry = 0; entry < count_of_cost_.size(); ++entry)
    figures.busy += cost[entry] * count_of_cost_[entry];
  const Time available = figures.step_time * placement_.ranks;
  figures.bubble_fraction = ratio(available - figures.busy, available);
  return figures;
}

}  // namespace bubblescope

#include "analysis/explain/explanation.h"

#include <algorithm>

namespace bubblescope {
namespace {

/// [rank] how often it pays each cost itself.
std::vector<LinearForm> own_costs(const DependencyGraph& graph) {
  std::vector<LinearForm> own(static_cast<std::size_t>(graph.schedule().placement.ranks));
  for (NodeId node = 0; node < graph.size(); ++node)
    if (!graph.is_message(node))
      ++own[static_cast<std::size_t>(graph.rank()[node])][index(cost_kind(graph.action(node)))];
  return own;
}

PerCost<bool> occurring(const DependencyGraph& graph, const std::vector<LinearForm>& own) {
  PerCost<bool> occurs{};
  for (const LinearForm& rank : own)
    for (std::size_t kind = 0; kind < kCostKinds; ++kind)
      occurs[kind] = occurs[kind] || rank[kind] > 0;
  occurs[index(CostKind::Hop)] = !graph.messages().empty() || [&] {
    for (NodeId node = 0; node < graph.size(); ++node)
      for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge)
        if (is_hop(graph, graph.producer()[edge], node))
          return true;
    return false;
  }();
  return occurs;
}

PerCost<Time> times_on_path(const DependencyGraph& graph, const Timeline& timeline,
                            const CriticalPath& path) {
  PerCost<Time> times{};
  Time done = path.nodes.empty() ? Time{} : timeline.spans[path.nodes.front()].start;
  for (const NodeId node : path.nodes) {
    const Span& span = timeline.spans[node];
    times[index(CostKind::Hop)] += span.start - done;
    times[index(cost_kind(graph, node))] += span.length();
    done = span.end;
  }
  return times;
}

/// One percent of whole numbers is whole if they are counted in hundredths.
double saved_by_one_percent(const CostSpace& space, CostKind kind) {
  PerCost<std::int64_t> costs = space.costs();
  for (std::int64_t& cost : costs)
    cost *= 100;
  const std::int64_t before = space.at(costs).time;
  costs[index(kind)] -= space.costs()[index(kind)];
  return static_cast<double>(before - space.at(costs).time) / 100;
}

/// Costs that are told as factors are told in thousandths.
constexpr std::int64_t kWhole = 1000;
/// How far a cost is moved, in multiples of what it is.
constexpr std::int64_t kFar = 10;

/// Longer ones are not moved, since their times would not fit into 64 bits.
constexpr Time kLongestStep = std::chrono::hours(2);

void add_levers(const DependencyGraph& graph, const PerCost<bool>& occurs, Explanation& out) {
  using Unit = StepFunction::Unit;
  const Unit unit = out.costs ? Unit::Once : Unit::Length;
  PerCost<std::int64_t> factors;
  factors.fill(kWhole);
  const StepFunction step(graph, unit);
  const CostSpace space(step, occurs, out.costs.value_or(factors), out.splits_backward);
  LinearForm form;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    form[kind] = out.costs ? out.form[kind] : out.on_path[kind].count();
  if (out.splits_backward)
    form = with_split_backward(form);
  const double per_ns = out.costs ? 1 : 1.0 / kWhole;
  std::vector<CostKind> kinds = space.kinds();
  if (occurs[index(CostKind::Hop)] && kinds.back() != CostKind::Hop)
    kinds.push_back(CostKind::Hop);  // messages take no time: how much might they?
  for (const CostKind kind : kinds) {
    const std::int64_t here = space.costs()[index(kind)];
    const std::int64_t limit =
        here > 0 ? kFar * here : std::max<std::int64_t>(out.step_time.count(), 1);
    out.levers.push_back({.kind = kind,
                          .saved_ns = saved_by_one_percent(space, kind) * per_ns,
                          .range = range_of(space, form, kind, limit)});
  }
  if (out.costs)
    out.region = validity_region(space, form);
}

/// What `count_costs` gives, with what occurs at all.
struct Counted {
  Explanation why;
  PerCost<bool> occurs{};
};

Counted count_all(const DependencyGraph& graph, const Timeline& timeline,
                  const CriticalPath& path) {
  Counted out{.why = {.form = path.counts}};
  Explanation& why = out.why;
  if (path.nodes.empty())
    return out;
  why.step_time = timeline.spans[path.nodes.back()].end - timeline.spans[path.nodes.front()].start;
  why.on_path = times_on_path(graph, timeline, path);
  const std::vector<LinearForm> own = own_costs(graph);
  for (const LinearForm& rank : own)
    why.idle.push_back(why.form - rank);
  if (graph.costs().shares_links())
    return out;
  out.occurs = occurring(graph, own);
  why.costs = common_costs(graph);
  why.splits_backward = why.costs && goes_with_its_parts(out.occurs, *why.costs);
  return out;
}

}  // namespace

Explanation count_costs(const DependencyGraph& graph, const Timeline& timeline,
                        const CriticalPath& path) {
  return count_all(graph, timeline, path).why;
}

Explanation explain(const DependencyGraph& graph, const Timeline& timeline,
                    const CriticalPath& path) {
  Counted out = count_all(graph, timeline, path);
  if (!path.nodes.empty() && !graph.costs().shares_links() && out.why.step_time <= kLongestStep)
    add_levers(graph, out.occurs, out.why);
  return std::move(out.why);
}

LinearForm told_form(const Explanation& why, LinearForm form) {
  if (why.costs && (*why.costs)[index(CostKind::Hop)] == 0)
    form[index(CostKind::Hop)] = 0;
  return why.splits_backward ? with_whole_backward(form) : form;
}

}  // namespace bubblescope

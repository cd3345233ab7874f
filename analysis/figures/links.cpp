#include "analysis/figures/links.h"

#include <algorithm>

#include "sim/engine/message_edges.h"
#include "sim/engine/simulate.h"

namespace bubblescope {
namespace {

/// Calls `visit(output, span)` for each message: from when it may leave until it has arrived.
template <typename Visitor>
void for_each_message(const DependencyGraph& graph, const Timeline& timeline, Visitor&& visit) {
  for (NodeId node = 0; node < graph.size(); ++node)
    if (graph.is_message(node))
      visit(graph.message(node).output, timeline.spans[node]);
  for_each_message_edge(graph, [&](EdgeId edge, const Message& message) {
    visit(message.output,
          Span{timeline.spans[graph.producer()[edge]].end, arrival_time(graph, timeline, edge)});
  });
}

Time sum_or_most(Time a, Time b) {
  return a > Time::max() - b ? Time::max() : a + b;
}

/// The time that `spans` cover.
Time covered(std::vector<Span>& spans) {
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.start < b.start; });
  Time length{};
  Time done = Time::min();
  for (const Span& span : spans) {
    const Time start = std::max(span.start, done);
    length += std::max(span.end - start, Time::zero());
    done = std::max(done, span.end);
  }
  return length;
}

}  // namespace

std::vector<LinkReport> link_reports(const DependencyGraph& graph, const Timeline& timeline) {
  const CostModel& costs = graph.costs();
  std::vector<LinkReport> reports;
  if (!costs.shares_links())
    return reports;
  const std::vector<double> capacities =
      costs.network().capacities(graph.schedule().placement.ranks);
  std::vector<LinkReport> all(capacities.size());          // [LinkId]
  std::vector<std::vector<Span>> busy(capacities.size());  // [LinkId]
  for_each_message(graph, timeline, [&](const Op& output, const Span& span) {
    const Route& route = costs.route(output);
    const Bytes bytes = costs.message_bytes(output);
    for (const LinkId link : route.links) {
      if (link == kNoLink || bytes == 0)
        continue;
      all[link].bytes += bytes;
      all[link].contention = sum_or_most(
          all[link].contention, std::max(span.length() - costs.message_time(output), Time::zero()));
      busy[link].push_back({span.start + route.alone.latency, span.end});
    }
  });
  for (LinkId link = 0; link < all.size(); ++link) {
    if (capacities[link] == 0)
      continue;
    all[link].link = link;
    all[link].busy = covered(busy[link]);
    reports.push_back(all[link]);
  }
  return reports;
}

}  // namespace bubblescope

#include "sim/engine/simulate.h"

#include <algorithm>

#include "sim/engine/event_run.h"

namespace bubblescope {

namespace {

template <bool kHasLags>
void sweep(const DependencyGraph& graph, std::span<Span> spans) {
  const auto first_edge = graph.first_edge();
  const auto producer = graph.producer();
  const auto lag = graph.lag().given();
  const auto duration = graph.duration();
  for (NodeId node = 0; node < graph.size(); ++node) {
    Time start = Time::zero();
    for (EdgeId edge = first_edge[node]; edge < first_edge[node + 1]; ++edge)
      start = std::max(start, spans[producer[edge]].end + (kHasLags ? lag[edge] : Time::zero()));
    spans[node] = {start, start + duration[node]};
  }
}

}  // namespace

void sweep(const DependencyGraph& graph, std::span<Span> spans) {
  graph.lag().are_zero() ? sweep<false>(graph, spans) : sweep<true>(graph, spans);
}

Timeline simulate(const DependencyGraph& graph, Engine engine) {
  Timeline timeline{.source = "simulated", .spans = FlatArray<Span>(graph.size())};
  const bool is_swept =
      engine == Engine::Auto ? !graph.costs().shares_links() : engine == Engine::Sweep;
  if (is_swept)
    sweep(graph, timeline.spans);
  else
    run_events(graph, timeline);
  return timeline;
}

std::vector<Span> rank_spans(const DependencyGraph& graph, const Timeline& timeline) {
  std::vector<Span> spans(static_cast<std::size_t>(graph.schedule().placement.ranks), kNoSpan);
  for (NodeId node = 0; node < graph.size(); ++node)
    if (!graph.is_message(node))
      spans[static_cast<std::size_t>(graph.rank()[node])].include(timeline.spans[node]);
  return spans;
}

}  // namespace bubblescope

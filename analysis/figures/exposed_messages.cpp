#include "analysis/figures/exposed_messages.h"

#include <algorithm>

namespace bubblescope {
namespace {

using Spans = std::vector<Span>;

/// The length of what `spans`, sorted by start, cover and `actions`, one after another, do not.
Time uncovered(const Spans& spans, const Spans& actions) {
  Time length{};
  Time done = Time::min();  // what lies before is counted
  auto action = actions.begin();
  for (const Span& span : spans) {
    Time start = std::max(span.start, done);
    while (start < span.end) {
      while (action != actions.end() && action->end <= start)
        ++action;
      const bool hides = action != actions.end() && action->start <= start;
      const Time until = action == actions.end() ? span.end
                         : hides                 ? action->end
                                                 : std::min(span.end, action->start);
      if (!hides)
        length += until - start;
      start = until;
    }
    done = std::max(done, span.end);
  }
  return length;
}

}  // namespace

std::vector<Time> exposed_messages(const DependencyGraph& graph, const Timeline& timeline) {
  const auto ranks = static_cast<std::size_t>(graph.schedule().placement.ranks);
  std::vector<Time> exposed(ranks);
  if (graph.messages().empty())
    return exposed;
  std::vector<Spans> messages(ranks);
  std::vector<Spans> actions(ranks);
  for (NodeId node = 0; node < graph.size(); ++node) {
    const Span& span = timeline.spans[node];
    if (!graph.is_message(node)) {
      actions[static_cast<std::size_t>(graph.rank()[node])].push_back(span);
      continue;
    }
    messages[static_cast<std::size_t>(graph.message(node).from)].push_back(span);
    messages[static_cast<std::size_t>(graph.message(node).to)].push_back(span);
  }
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    std::sort(messages[rank].begin(), messages[rank].end(),
              [](const Span& a, const Span& b) { return a.start < b.start; });
    exposed[rank] = uncovered(messages[rank], actions[rank]);
  }
  return exposed;
}

}  // namespace bubblescope

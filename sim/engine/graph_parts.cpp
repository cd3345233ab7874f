#include "sim/engine/graph_parts.h"

#include <limits>

#include <fmt/format.h>

#include "sim/base/error.h"

namespace bubblescope {

GraphWriter::GraphWriter(DependencyGraph::Parts& parts, const Schedule& schedule, std::size_t nodes,
                         std::size_t most_edges, bool has_lags)
    : parts_(parts) {
  if (most_edges > std::numeric_limits<EdgeId>::max())
    throw Error(fmt::format("schedule {}: a graph of {} edges cannot be numbered", schedule.name,
                            most_edges));
  parts.first_edge.resize(nodes + 1);
  parts.producer.resize(most_edges);
  parts.lag.resize(has_lags ? most_edges : 0);
  parts.duration.resize(nodes);
  parts.rank.resize(nodes);
  parts.action.resize(nodes);
}

void GraphWriter::finish() {
  parts_.first_edge[nodes_] = edges_;
  parts_.producer.resize(edges_);
  if (!parts_.lag.empty())
    parts_.lag.resize(edges_);
}

}  // namespace bubblescope

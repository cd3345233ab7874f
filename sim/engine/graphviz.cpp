#include "sim/engine/graphviz.h"

#include <sstream>

#include <boost/graph/graphviz.hpp>
#include <fmt/format.h>

#include "sim/engine/boost_graph.h"

namespace bubblescope {

std::string to_dot(const DependencyGraph& graph) {
  const auto write_node = [&](std::ostream& out, NodeId node) {
    if (graph.is_message(node)) {
      const MessageNode& message = graph.message(node);
      out << fmt::format(R"( [label="{} {} to {}", shape=ellipse])", to_string(message.output),
                         message.from, message.to);
      return;
    }
    out << fmt::format(R"( [label="{}", group="rank {}"])", to_string(graph.action(node)),
                       graph.rank()[node]);
  };
  // An edge runs from the one that waits; dir=back turns its arrow to point there.
  const auto write_edge = [&](std::ostream& out, const auto& edge) {
    const NodeId waiting = source(edge, graph);
    const NodeId needed = target(edge, graph);
    const bool is_message = graph.is_message(waiting) || graph.is_message(needed) ||
                            graph.rank()[waiting] != graph.rank()[needed];
    out << (is_message ? " [style=dashed]" : " [weight=9]");
  };
  const auto write_graph = [](std::ostream& out) {
    out << "rankdir=RL;\nnode [shape=box, height=0.3, fontname=\"sans-serif\"];\n"
           "edge [dir=back];\n";
  };
  std::ostringstream out;
  boost::write_graphviz(out, graph, write_node, write_edge, write_graph);
  return out.str();
}

}  // namespace bubblescope

#include "sim/engine/in_edges.h"

namespace bubblescope {
namespace {

/// Whether the receive of a message is posted by the start of `receiver`, and not by its end.
bool posts_at_start(const DependencyGraph& graph, NodeId message) {
  const NodeId receiver = graph.message(message).receiver;
  return receiver != MessageNode::kNone &&
         graph.producer()[graph.first_edge()[message + 1] - 1] != receiver;
}

/// A message's in-edges are, in this order: the action that posts its send, the messages before it
/// on its channels or of the batches before its own, and the action that posts its receive, or in
/// its stead what that action waits for.
EdgeKind kind_into_message(const DependencyGraph& graph, NodeId node, EdgeId edge) {
  if (!graph.is_message(graph.producer()[edge]))
    return EdgeKind::Post;
  const MessageNode& message = graph.message(node);
  const EdgeId at_sender = message.before_at_sender == MessageNode::kNone ? 0 : 1;
  const bool is_other = message.before_at_receiver != MessageNode::kNone &&
                        message.before_at_receiver != message.before_at_sender;
  if (edge - graph.first_edge()[node] <= at_sender + (is_other ? 1 : 0))
    return EdgeKind::Channel;
  return posts_at_start(graph, node) ? EdgeKind::Post : EdgeKind::Batch;
}

}  // namespace

EdgeKind edge_kind(const DependencyGraph& graph, NodeId node, EdgeId edge) {
  if (graph.is_message(node))
    return kind_into_message(graph, node, edge);
  const NodeId producer = graph.producer()[edge];
  const Rank rank = graph.rank()[node];
  if (graph.is_message(producer))
    return graph.message(producer).to == rank ? EdgeKind::Message : EdgeKind::Batch;
  return graph.rank()[producer] == rank ? EdgeKind::Order : EdgeKind::Message;
}

Time receive_posted(const DependencyGraph& graph, const Timeline& timeline, NodeId message) {
  const Span& receiver = timeline.spans[graph.message(message).receiver];
  return posts_at_start(graph, message) ? receiver.start : receiver.end;
}

}  // namespace bubblescope

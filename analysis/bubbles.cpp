#include "analysis/bubbles.h"

#include <algorithm>
#include <span>
#include <utility>

namespace bubblescope {
namespace {

class BubbleFinder {
 public:
  BubbleFinder(const DependencyGraph& graph, const Timeline& timeline,
               const std::function<void(const Bubble&)>& visit)
      : graph_(graph),
        timeline_(timeline),
        visit_(visit),
        first_edge_(graph.first_edge()),
        producer_(graph.producer()),
        lag_(graph.lag()),
        rank_(graph.rank()),
        ranks_(static_cast<std::size_t>(graph.schedule().placement.ranks)) {}

  void find() {
    Span step{Time::max(), Time::min()};
    for (const Span& span : timeline_.spans)
      step = {std::min(step.start, span.start), std::max(step.end, span.end)};
    for (RankEnd& rank : ranks_)
      rank.time = step.start;
    for (NodeId node = 0; node < graph_.size(); ++node)
      if (!graph_.is_message(node))
        add_action(node);
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
      if (ranks_[rank].node != kNone)
        emit({static_cast<Rank>(rank),
              {ranks_[rank].time, step.end},
              BubbleCause::Drain,
              ranks_[rank].node,
              ranks_[rank].node});
  }

 private:
  static constexpr NodeId kNone = ~NodeId{0};

  /// How far a rank has come.
  struct RankEnd {
    Time time{};
    NodeId node = kNone;  // its last action
  };

  void add_action(NodeId node) {
    const Rank rank = rank_[node];
    RankEnd& before = ranks_[static_cast<std::size_t>(rank)];
    const Span gap = {before.time, timeline_.spans[node].start};
    if (gap.length() > Time::zero()) {
      if (before.node != kNone)
        explain({rank, gap, BubbleCause::Unknown, node, last_to_arrive(node)});
      else
        emit({rank, gap, BubbleCause::WarmUp, node, last_to_arrive(node)});
    }
    before.time = timeline_.spans[node].end;
    before.node = node;
  }

  /// The message, or the producer on another rank, that reached `node` last; `node` itself if there
  /// is none.
  NodeId last_to_arrive(NodeId node) const {
    NodeId last = node;
    Time arrival = Time::min();
    for (EdgeId edge = first_edge_[node]; edge < first_edge_[node + 1]; ++edge) {
      const NodeId producer = producer_[edge];
      const Time arrived = timeline_.spans[producer].end + lag_[edge];
      if (arrived > arrival && (rank_[producer] != rank_[node] || graph_.is_message(producer))) {
        last = producer;
        arrival = arrived;
      }
    }
    return last;
  }

  /// Cuts a gap into what its action waited for, one after the other.
  void explain(Bubble gap) const {
    const NodeId last = gap.blocking;
    if (last == gap.waiting) {
      emit(gap);
      return;
    }
    if (!graph_.is_message(last)) {
      const Time made = timeline_.spans[last].end;
      cut(gap, made, BubbleCause::Dependency, last);
      cut(gap, made + lag(gap.waiting, last), BubbleCause::Message, last);
    } else {
      const MessageNode& message = graph_.message(last);
      const auto [posted, poster] = last_to_post(message);
      cut(gap, timeline_.spans[message.producer].end, BubbleCause::Dependency, message.producer);
      cut(gap, posted, BubbleCause::Peer, poster);
      if (message.before != MessageNode::kNone)
        cut(gap, timeline_.spans[last].start, BubbleCause::Queue, message.before);
      cut(gap, timeline_.spans[last].end, BubbleCause::Message, last);
    }
    cut(gap, gap.span.end, BubbleCause::Unknown, gap.waiting);
  }

  Time lag(NodeId node, NodeId producer) const {
    for (EdgeId edge = first_edge_[node]; edge < first_edge_[node + 1]; ++edge)
      if (producer_[edge] == producer)
        return lag_[edge];
    return Time::zero();
  }

  /// When both ends of a message are posted, and the action that posts the later one.
  std::pair<Time, NodeId> last_to_post(const MessageNode& message) const {
    const std::pair sent(timeline_.spans[message.sender].end, message.sender);
    if (message.receiver == MessageNode::kNone)
      return sent;
    const Span& receiver = timeline_.spans[message.receiver];
    const bool at_start = graph_.program().comm == Comm::Stream;
    return std::max(sent, std::pair(at_start ? receiver.start : receiver.end, message.receiver));
  }

  /// Cuts what lies before `end` off the gap.
  void cut(Bubble& gap, Time end, BubbleCause cause, NodeId blocking) const {
    end = std::clamp(end, gap.span.start, gap.span.end);
    emit({gap.rank, {gap.span.start, end}, cause, gap.waiting, blocking});
    gap.span.start = end;
  }

  void emit(const Bubble& bubble) const {
    if (bubble.span.length() > Time::zero())
      visit_(bubble);
  }

  const DependencyGraph& graph_;
  const Timeline& timeline_;
  const std::function<void(const Bubble&)>& visit_;
  std::span<const EdgeId> first_edge_;
  std::span<const NodeId> producer_;
  std::span<const Time> lag_;
  std::span<const Rank> rank_;
  std::vector<RankEnd> ranks_;
};

}  // namespace

void for_each_bubble(const DependencyGraph& graph, const Timeline& timeline,
                     const std::function<void(const Bubble&)>& visit) {
  BubbleFinder(graph, timeline, visit).find();
}

std::vector<Bubble> find_bubbles(const DependencyGraph& graph, const Timeline& timeline) {
  std::vector<Bubble> bubbles;
  for_each_bubble(graph, timeline, [&](const Bubble& bubble) { bubbles.push_back(bubble); });
  std::stable_sort(bubbles.begin(), bubbles.end(), [](const Bubble& a, const Bubble& b) {
    return std::pair(a.rank, a.span.start) < std::pair(b.rank, b.span.start);
  });
  return bubbles;
}

}  // namespace bubblescope

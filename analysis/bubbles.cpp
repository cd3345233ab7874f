#include "analysis/bubbles.h"

#include <algorithm>
#include <span>
#include <utility>

namespace bubblescope {
namespace {

/// Calls `visit` for every bubble, those of one rank in time order.
template <typename Visitor>
class BubbleFinder {
 public:
  BubbleFinder(const DependencyGraph& graph, const Timeline& timeline, const Visitor& visit)
      : graph_(graph),
        timeline_(timeline),
        visit_(visit),
        first_edge_(graph.first_edge()),
        producer_(graph.producer()),
        lag_(graph.lag()),
        arrivals_(timeline.arrivals),
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
      const auto [last, arrival] = last_to_arrive(node);
      if (before.node == kNone)
        emit({rank, gap, BubbleCause::WarmUp, node, last});
      else
        explain({rank, gap, BubbleCause::Unknown, node, last}, arrival);
    }
    before.time = timeline_.spans[node].end;
    before.node = node;
  }

  /// The message, or the producer on another rank, that reached `node` last, and when; `node`
  /// itself if there is none.
  std::pair<NodeId, Time> last_to_arrive(NodeId node) const {
    NodeId last = node;
    Time arrival = Time::min();
    for (EdgeId edge = first_edge_[node]; edge < first_edge_[node + 1]; ++edge) {
      const NodeId producer = producer_[edge];
      const Time arrived =
          arrivals_.empty() ? timeline_.spans[producer].end + lag_[edge] : arrivals_[edge];
      if (arrived > arrival && (rank_[producer] != rank_[node] || graph_.is_message(producer))) {
        last = producer;
        arrival = arrived;
      }
    }
    return {last, arrival};
  }

  /// Cuts a gap into what its action waited for, one after the other; the last of it came at
  /// `arrival`.
  void explain(Bubble gap, Time arrival) const {
    const NodeId last = gap.blocking;
    if (last == gap.waiting) {
      emit(gap);
      return;
    }
    if (!graph_.is_message(last)) {
      cut(gap, timeline_.spans[last].end, BubbleCause::Dependency, last);
      cut(gap, arrival, BubbleCause::Message, last);
    } else {
      const MessageNode& message = graph_.message(last);
      const auto [posted, poster] = last_to_post(message);
      cut(gap, timeline_.spans[message.producer].end, BubbleCause::Dependency, message.producer);
      cut(gap, posted, BubbleCause::Peer, poster);
      if (const NodeId before = last_in_queue(message); before != kNone)
        cut(gap, timeline_.spans[last].start, BubbleCause::Queue, before);
      cut(gap, arrival, BubbleCause::Message, last);
    }
    cut(gap, gap.span.end, BubbleCause::Unknown, gap.waiting);
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

  /// The one that was through last of those that a message queues behind; kNone if there is none.
  NodeId last_in_queue(const MessageNode& message) const {
    NodeId last = kNone;
    for (const NodeId before : {message.before_at_sender, message.before_at_receiver})
      if (before != MessageNode::kNone &&
          (last == kNone || timeline_.spans[last].end < timeline_.spans[before].end))
        last = before;
    return last;
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
  const Visitor& visit_;
  std::span<const EdgeId> first_edge_;
  std::span<const NodeId> producer_;
  std::span<const Time> lag_;
  std::span<const Time> arrivals_;  // [edge] as in Timeline
  std::span<const Rank> rank_;
  std::vector<RankEnd> ranks_;
};

}  // namespace

std::vector<Bubble> find_bubbles(const DependencyGraph& graph, const Timeline& timeline) {
  std::vector<Bubble> bubbles;
  BubbleFinder(graph, timeline, [&](const Bubble& bubble) { bubbles.push_back(bubble); }).find();
  std::stable_sort(bubbles.begin(), bubbles.end(), [](const Bubble& a, const Bubble& b) {
    return std::pair(a.rank, a.span.start) < std::pair(b.rank, b.span.start);
  });
  return bubbles;
}

std::vector<IdleByCause> idle_by_cause(const DependencyGraph& graph, const Timeline& timeline) {
  std::vector<IdleByCause> idle(static_cast<std::size_t>(graph.schedule().placement.ranks));
  BubbleFinder(graph, timeline, [&](const Bubble& bubble) {
    idle[static_cast<std::size_t>(bubble.rank)][static_cast<std::size_t>(bubble.cause)] +=
        bubble.span.length();
  }).find();
  return idle;
}

}  // namespace bubblescope

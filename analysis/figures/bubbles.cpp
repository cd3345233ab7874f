#include "analysis/figures/bubbles.h"

#include <algorithm>
#include <span>
#include <utility>

#include "analysis/figures/imbalance.h"
#include "sim/engine/in_edges.h"

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
        rank_(graph.rank()),
        balanced_ends_(balanced_ends(graph, timeline)),
        contends_(graph.costs().shares_links()),
        ranks_(static_cast<std::size_t>(graph.schedule().placement.ranks)) {}

  void find() {
    Time start = Time::max();
    NodeId last = 0;
    for (NodeId node = 0; node < graph_.size(); ++node) {
      start = std::min(start, timeline_.spans[node].start);
      if (timeline_.spans[node].end > timeline_.spans[last].end)
        last = node;
    }
    for (RankEnd& rank : ranks_)
      rank.time = start;
    for (NodeId node = 0; node < graph_.size(); ++node)
      if (!graph_.is_message(node))
        add_action(node);
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
      if (ranks_[rank].node != kNone)
        emit({static_cast<Rank>(rank),
              {ranks_[rank].time, timeline_.spans[last].end},
              BubbleCause::Drain,
              ranks_[rank].node,
              last});
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
      const Arrival arrival = last_to_arrive(node);
      if (before.node == kNone)
        emit({rank, gap, BubbleCause::WarmUp, node, arrival.last});
      else
        explain({rank, gap, BubbleCause::Unknown, node, arrival.last}, arrival,
                imbalance(before.node, gap, arrival.last));
    }
    before.time = timeline_.spans[node].end;
    before.node = node;
  }

  /// What reached an action last.
  struct Arrival {
    NodeId last;            // a message, or the producer on another rank; itself if there is none
    Time time;              // when it did
    Time message = Time{};  // what a message takes where nothing contends
  };

  Arrival last_to_arrive(NodeId node) const {
    const EdgeId edge = last_edge(graph_, timeline_, node, [&](EdgeId each) {
      return edge_kind(graph_, node, each) != EdgeKind::Order;
    });
    if (edge == kNoEdge)
      return {.last = node, .time = Time::min()};
    const NodeId last = graph_.producer()[edge];
    return {last, arrival_time(graph_, timeline_, edge),
            graph_.is_message(last) ? graph_.duration()[last] : graph_.lag()[edge]};
  }

  /// By how much a gap that ends when `last` arrives would be shorter if actions took the mean of
  /// their kind; `before` is the action that it begins after.
  Time imbalance(NodeId before, const Span& gap, NodeId last) const {
    if (balanced_ends_.empty())
      return Time::zero();
    const Time chain = timeline_.spans[last].end - timeline_.spans[before].end;
    const Time balanced_chain = balanced_ends_[last] - balanced_ends_[before];
    return std::clamp(chain - balanced_chain, Time::zero(), gap.length());
  }

  /// Cuts a gap into what its action waited for, one after the other.
  void explain(Bubble gap, const Arrival& arrival, Time imbalance) const {
    const NodeId last = arrival.last;
    if (last == gap.waiting) {
      emit(gap);
      return;
    }
    Time sent = timeline_.spans[last].end;
    if (graph_.is_message(last)) {
      const MessageNode& message = graph_.message(last);
      const auto [posted, poster] = last_to_post(last);
      wait_for(gap, message.producer, imbalance);
      cut(gap, posted, BubbleCause::Peer, poster);
      sent = timeline_.spans[last].start;
      if (const NodeId before = last_in_queue(message); before != kNone)
        cut(gap, sent, BubbleCause::Queue, before);
    } else {
      wait_for(gap, last, imbalance);
    }
    const Time alone = contends_ ? std::min(sent + arrival.message, arrival.time) : arrival.time;
    cut(gap, alone, BubbleCause::Message, last);
    cut(gap, arrival.time, BubbleCause::Contention, last);
    cut(gap, gap.span.end, BubbleCause::Unknown, gap.waiting);
  }

  /// Until an action of another rank ends.
  void wait_for(Bubble& gap, NodeId action, Time imbalance) const {
    const Time end = std::min(timeline_.spans[action].end, gap.span.end);
    cut(gap, end - imbalance, BubbleCause::Dependency, action);
    cut(gap, end, BubbleCause::Imbalance, action);
  }

  /// When both ends of a message are posted, and the action that posts the later one.
  std::pair<Time, NodeId> last_to_post(NodeId node) const {
    const MessageNode& message = graph_.message(node);
    const std::pair sent(timeline_.spans[message.sender].end, message.sender);
    if (message.receiver == MessageNode::kNone)
      return sent;
    return std::max(sent, std::pair(receive_posted(graph_, timeline_, node), message.receiver));
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
  std::span<const Rank> rank_;
  FlatArray<Time> balanced_ends_;  // [node] as in imbalance.h
  bool contends_;
  std::vector<RankEnd> ranks_;
};

struct CauseWords {
  const char* name;
  const char* key;
};
/// [BubbleCause]
constexpr std::array<CauseWords, kBubbleCauses> kCauseWords = {{
    {"warm-up", "warm_up"},
    {"waiting for input", "dependency"},
    {"slower stage", "imbalance"},
    {"waiting for peer", "peer"},
    {"message queued", "queue"},
    {"message in flight", "message"},
    {"links shared", "contention"},
    {"drain", "drain"},
    {"none of these", "unknown"},
}};

}  // namespace

const char* cause_name(BubbleCause cause) {
  return kCauseWords[static_cast<std::size_t>(cause)].name;
}

const char* cause_key(BubbleCause cause) {
  return kCauseWords[static_cast<std::size_t>(cause)].key;
}

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

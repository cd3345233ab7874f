#include "analysis/explain/offenders.h"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "analysis/figures/cost_kinds.h"

namespace bubblescope {
namespace {

/// The rank that executes an action, or sends a message.
Rank home(const DependencyGraph& graph, NodeId node) {
  return graph.is_message(node) ? graph.message(node).from : graph.rank()[node];
}

/// What makes a message, or the action itself.
const Action& maker(const DependencyGraph& graph, NodeId node) {
  return graph.action(graph.is_message(node) ? graph.message(node).producer : node);
}

/// "B of stage 1", "F&B of stages 7 and 0"
std::string kind_words(const Action& action) {
  if (action.is_pair())
    return fmt::format("F&B of stages {} and {}", action.op().stage(), action.overlapped().stage());
  return fmt::format("{} of stage {}", letter(action.op().kind()), action.op().stage());
}

}  // namespace

std::vector<Offender> offenders(const DependencyGraph& graph, const std::vector<Bubble>& bubbles) {
  using Key = std::tuple<Rank, BubbleCause, Rank, CostKind, Stage, Stage>;
  std::map<Key, Offender> by_key;
  for (const Bubble& bubble : bubbles) {
    const Action& action = maker(graph, bubble.blocking);
    const Key key(bubble.rank, bubble.cause, home(graph, bubble.blocking), cost_kind(action),
                  action.op().stage(), action.overlapped().stage());
    Offender& offender = by_key.try_emplace(key, Offender{.longest = bubble}).first->second;
    ++offender.times;
    offender.idle += bubble.span.length();
    if (bubble.span.length() > offender.longest.span.length())
      offender.longest = bubble;
  }
  std::vector<Offender> all;
  all.reserve(by_key.size());
  for (const auto& [key, offender] : by_key)
    all.push_back(offender);
  std::stable_sort(all.begin(), all.end(),
                   [](const Offender& a, const Offender& b) { return a.idle > b.idle; });
  return all;
}

std::string node_name(const DependencyGraph& graph, NodeId node, Naming naming) {
  const auto name = [&](const Action& action) {
    return action.is_pair() && naming == Naming::Short
               ? to_string(action.op()) + "&" + to_string(action.overlapped())
               : to_string(action);
  };
  if (!graph.is_message(node))
    return name(graph.action(node));
  const MessageNode& message = graph.message(node);
  const Action& maker = graph.action(message.producer);
  return fmt::format("{} to rank {}", maker.is_pair() ? to_string(message.output) : name(maker),
                     message.to);
}

std::string blocker_name(const DependencyGraph& graph, const Bubble& bubble, NodeId blocker,
                         Naming naming) {
  const bool is_sent =
      bubble.cause == BubbleCause::Message || bubble.cause == BubbleCause::Contention;
  const std::string name = node_name(graph, blocker, naming);
  return is_sent && !graph.is_message(blocker) ? fmt::format("{} to rank {}", name, bubble.rank)
                                               : name;
}

std::vector<NodeId> chain_behind(const Timeline& timeline, const CriticalTree& tree,
                                 const Bubble& bubble, std::size_t limit) {
  std::vector<NodeId> chain;
  if (bubble.cause == BubbleCause::Unknown)
    return chain;
  for (NodeId node = tree.before[bubble.blocking];
       node != kNoNode && timeline.spans[node].end > bubble.span.start && chain.size() < limit;
       node = tree.before[node])
    chain.push_back(node);
  return chain;
}

std::string offender_words(const DependencyGraph& graph, const Offender& offender) {
  const Bubble& bubble = offender.longest;
  const Rank rank = home(graph, bubble.blocking);
  const std::string what =
      fmt::format("{} on rank {}", kind_words(maker(graph, bubble.blocking)), rank);
  const std::string waits = fmt::format("rank {} waits ", bubble.rank);
  const std::string times = offender.times == 1 ? "" : fmt::format(", {} times", offender.times);
  switch (bubble.cause) {
    case BubbleCause::WarmUp:
      return fmt::format("rank {} has nothing to do before {} is done", bubble.rank,
                         node_name(graph, bubble.blocking, Naming::Short));
    case BubbleCause::Drain:
      return fmt::format("rank {} has nothing left to do until {} ends the step", bubble.rank,
                         node_name(graph, bubble.blocking, Naming::Short));
    case BubbleCause::Dependency:
      return waits + "for " + what + times;
    case BubbleCause::Imbalance:
      return waits + "for " + what + ", slower than the mean" + times;
    case BubbleCause::Peer:
      return waits +
             fmt::format("until rank {} comes to send or receive, after {}", rank,
                         kind_words(maker(graph, bubble.blocking))) +
             times;
    case BubbleCause::Queue:
      return waits + "behind the message of " + what + times;
    case BubbleCause::Message:
      return waits + "for the message of " + what + times;
    case BubbleCause::Contention:
      return waits + "for the message of " + what + ", slowed down by others" + times;
    case BubbleCause::Unknown:
      break;
  }
  return fmt::format("rank {} is late by itself{}", bubble.rank, times);
}

}  // namespace bubblescope

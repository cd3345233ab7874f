// Where a rank idles, and what it waits for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

enum class BubbleCause : std::uint8_t {
  WarmUp,      ///< Before the rank's first action.
  Dependency,  ///< An action of another rank had not ended.
  Imbalance,   ///< The same, but it would have, had all stages cost the mean: see `Bubble`.
  Peer,        ///< It had, but one of the two ranks had not come to send or receive its message.
  Queue,       ///< Both had, but another message had the channel of one of them.
  Message,     ///< The message was on the way.
  Contention,  ///< It still was, since others had a part of the links that it crosses.
  Drain,       ///< After the rank's last action, until the step ends.
  Unknown,     ///< It waited for no other rank: only a measured timeline has such gaps.
};
constexpr std::size_t kBubbleCauses = 9;

/// For people, "warm-up", and in JSON, "warm_up".
const char* cause_name(BubbleCause cause);
const char* cause_key(BubbleCause cause);

/// A gap between two actions of a rank is the length of the chain that leads to what the second one
/// waits for, less that of the chain that leads to the first. If actions took the mean of their
/// kind, both chains would last differently, and the gap too: what it is longer than that is
/// imbalance, the last part of its waiting for an action.
struct Bubble {
  Rank rank = 0;
  Span span{};
  BubbleCause cause = BubbleCause::WarmUp;
  NodeId waiting = 0;  ///< The action that ends the wait; of a drain, the rank's last action.
  /// The action or message waited for, of a drain the last to end; `waiting` itself where there is
  /// none. Others may tie: analysis/explain/blockers.h.
  NodeId blocking = 0;
};

/// Every idle interval of every rank, cut where its cause changes, by rank, then time. Their
/// lengths add up to the idle time.
std::vector<Bubble> find_bubbles(const DependencyGraph& graph, const Timeline& timeline);

/// [rank][BubbleCause] how long those of a cause are together.
using IdleByCause = std::array<Time, kBubbleCauses>;
std::vector<IdleByCause> idle_by_cause(const DependencyGraph& graph, const Timeline& timeline);

}  // namespace bubblescope

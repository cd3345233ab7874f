// What keeps ranks waiting most: bubbles of one rank and cause that are blamed on the same stage's
// actions of one kind, taken together.
#pragma once

#include <string>
#include <vector>

#include "analysis/figures/bubbles.h"
#include "analysis/figures/critical_path.h"

namespace bubblescope {

struct Offender {
  Bubble longest;
  int times = 0;
  Time idle{};  ///< All of them.
};

/// The one that costs most first; ties by rank, then time.
std::vector<Offender> offenders(const DependencyGraph& graph, const std::vector<Bubble>& bubbles);

/// How a pair is written.
enum class Naming : std::uint8_t {
  Token,  ///< "(0F7;7B3)OVERLAP_F_B", as PyTorch does.
  Short,  ///< "0F7&7B3"
};
/// "0F3", for a message "0F3 to rank 1".
std::string node_name(const DependencyGraph& graph, NodeId node, Naming naming);
/// What a bubble waits for: as above, where an ideal message is its producer.
std::string blocker_name(const DependencyGraph& graph, const Bubble& bubble, NodeId blocker,
                         Naming naming);

/// What leads to what a bubble waits for, the last first, as far back as the bubble begins; at
/// most `limit`.
std::vector<NodeId> chain_behind(const Timeline& timeline, const CriticalTree& tree,
                                 const Bubble& bubble, std::size_t limit);

/// "rank 0 waits for B of stage 1 on rank 1, 8 times"
std::string offender_words(const DependencyGraph& graph, const Offender& offender);

}  // namespace bubblescope

// In which order each rank executes its actions. No times, no messages.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "sim/base/flat_array.h"
#include "sim/schedule/op.h"
#include "sim/schedule/placement.h"

namespace bubblescope {

struct Schedule {
  std::string name = {};
  int microbatches = 0;  ///< m, over all pipes; each pipe takes an equal, contiguous share.
  Placement placement = {};
  FlatArray<Action> actions = {};               ///< Rank 0's order, then rank 1's, …
  std::vector<std::size_t> first_action = {0};  ///< [ranks + 1] where each rank's order begins.

  std::span<const Action> order(Rank rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return std::span(actions).subspan(first_action[r], first_action[r + 1] - first_action[r]);
  }
  /// Micro-batches that enter each pipe.
  int microbatches_per_pipe() const { return microbatches / placement.pipes; }
};

/// Fills a schedule's orders, rank after rank.
class OrderWriter {
 public:
  /// Room for `most_actions` is made at once, so that to append one is a store.
  OrderWriter(Schedule& schedule, std::size_t most_actions) : schedule_(schedule) {
    schedule_.actions.resize(most_actions);
    next_ = schedule_.actions.data();
  }

  void append(Action action) { *next_++ = action; }
  /// Closes the order of the rank whose actions were appended last.
  void end_rank() { schedule_.first_action.push_back(size()); }
  /// After the last rank.
  void finish() { schedule_.actions.resize(size()); }

 private:
  std::size_t size() const { return static_cast<std::size_t>(next_ - schedule_.actions.data()); }

  Schedule& schedule_;
  Action* next_;
};

}  // namespace bubblescope

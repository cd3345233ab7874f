// Makes orders by a rule: time runs forward, and a rank that is free picks among what it can do.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "sim/search/execution.h"
#include "sim/search/problem.h"
#include "sim/search/soonest.h"

namespace bubblescope {

/// How closely `Greedy` keeps to the guide.
struct Policy {
  /// A W starts in a gap only: when nothing else is ready, or known to come within so many quarters
  /// of its duration, or to make room for an F. None: when the guide has it before what is ready.
  std::optional<int> gap_quarters = {};
  /// Places of the guide by which an I goes before an F that stands earlier; negative: after.
  int advance_inputs = 0;
  /// Where an F that is ready finds no room, a W makes some before an I is executed.
  bool make_room_first = false;
  /// An F does not start if something else is known to come within a quarter of its duration.
  bool forwards_yield = false;
  /// How many more micro-batches than in the guide a rank may have between F and I.
  int more_in_flight = 0;
};

class Greedy {
 public:
  explicit Greedy(const Problem& problem);

  /// Takes orders as the guide. Each rank executes its F's in the order that they have there: so if
  /// the guide can run within the memory limit, all orders that are made from it can.
  void follow(std::span<const Letter> guide);

  /// Makes `letters`.
  Score run(const Policy& policy, Letters& letters);

 private:
  /// What a rank could do now.
  struct Choice {
    int ready = -1;  ///< The F or I that is first by the guide; −1: none.
    int ready_place = 0;
    int weight = -1;  ///< The W that is first by the guide; −1: none.
    int weight_place = 0;
    bool lacks_room = false;  ///< An F is ready, but memory is full.
    Ticks later = 0;          ///< When the next input is known to come.
  };

  int pick(const Policy& policy, Rank rank, Ticks now, Ticks& later) const;
  Choice look(const Policy& policy, Rank rank, Ticks now) const;
  void execute(Rank rank, Letter letter, Letters& letters);
  int place_in_guide(Track track) const {
    return guide_[index(track) * index(problem_.microbatches) + index(execution_.done(track))];
  }
  static std::size_t index(std::int32_t id) { return static_cast<std::size_t>(id); }

  const Problem& problem_;
  Execution execution_;
  std::vector<std::int32_t> guide_;  // [track · microbatches + microbatch] place in the order
  std::vector<Letter> forwards_;  // [rank · chunks · microbatches + n] F's in the guide's order
  std::vector<int> most_in_flight_;   // [rank] F's without their I's, in the guide
  std::vector<int> in_flight_;        // [rank]
  std::vector<int> forwards_done_;    // [rank]
  std::vector<std::int64_t> memory_;  // [rank]
  Soonest wake_;                      // when each rank picks next
  std::vector<std::size_t> written_;  // [rank] letters
  std::vector<Ticks> first_start_;    // [rank]
};

}  // namespace bubblescope

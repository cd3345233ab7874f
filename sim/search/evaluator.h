// Times given orders.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "sim/search/execution.h"
#include "sim/search/problem.h"

namespace bubblescope {

/// Keeps its arrays from one run to the next.
class Evaluator {
 public:
  explicit Evaluator(const Problem& problem);

  /// False where ranks wait for one another in a circle, or as soon as it is certain that the
  /// objective exceeds `most`. Memory is not looked at.
  bool run(std::span<const Letter> letters, Ticks most = std::numeric_limits<Ticks>::max());

  // Of the last run, if it was true.

  Score score() const;
  /// When the op at a place of a rank's order ended.
  Ticks end(Rank rank, std::size_t place) const { return ends_[index(rank) * length_ + place]; }
  /// When a rank started.
  Ticks first_start(Rank rank) const { return first_start_[index(rank)]; }
  /// [microbatch] the places of a track's ops in their rank's order.
  std::span<const std::int32_t> places(Track track) const {
    return std::span(places_).subspan(index(track) * microbatches_, microbatches_);
  }

 private:
  static std::size_t index(std::int32_t id) { return static_cast<std::size_t>(id); }
  bool run_rank(Rank rank, std::span<const Letter> order, Ticks most);

  const Problem& problem_;
  std::size_t length_;
  std::size_t microbatches_;
  std::vector<Ticks> work_;  // [rank] of all its ops
  Execution execution_;
  std::vector<Ticks> ends_;             // [rank · order_length + place]
  std::vector<std::int32_t> places_;    // [track · microbatches + microbatch]
  std::vector<Ticks> first_start_;      // [rank]
  std::vector<Ticks> begin_;            // [rank] from where the objective counts
  std::vector<Ticks> last_end_;         // [rank] if it never waits again
  std::vector<std::size_t> next_;       // [rank] the place that it has come to
  std::vector<Rank> awake_;             // a stack of ranks that may go on
  std::vector<std::uint8_t> is_awake_;  // [rank]
};

}  // namespace bubblescope

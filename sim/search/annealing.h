// Improves orders by trial: ops on the critical path change their places.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "sim/search/evaluator.h"
#include "sim/search/problem.h"

namespace bubblescope {

/// Places `begin` up to `end` of a rank's order.
struct Window {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Threshold accepting: a trial that makes the objective worse by less than a random part of a
/// threshold stands too, and that threshold falls to zero. It starts at 5/4 of the mean duration of
/// an op: much less does not leave local optima, much more does not settle.
class Annealing {
 public:
  /// The same `seed` gives the same trials.
  Annealing(const Problem& problem, std::uint64_t seed);

  struct Options {
    int trials = 0;
    Ticks enough = 0;                     ///< An objective that needs no improvement.
    std::span<const Window> frozen = {};  ///< [rank] where nothing may move; empty: none.
  };

  /// Replaces `letters`, which can run and fit the memory limit, by the best that it meets.
  Score improve(Letters& letters, const Options& options);

 private:
  struct Move {
    Rank rank = 0;
    std::size_t from = 0;
    std::size_t to = 0;
  };

  struct Place {
    Rank rank = 0;
    std::size_t place = 0;
  };

  void find_critical(std::span<const Window> frozen);
  Move draw_move();
  bool is_allowed(const Move& move, std::span<const Window> frozen) const;
  void apply(const Move& move);
  bool fits(const Move& move) const;
  std::size_t draw(std::size_t size) { return static_cast<std::size_t>(engine_() % size); }

  const Problem& problem_;
  std::size_t length_;
  Ticks threshold_ = 0;
  std::vector<Track> producer_;  // [track] whose outputs it takes
  std::mt19937_64 engine_;
  Evaluator evaluator_;
  Letters letters_;
  std::vector<Place> critical_;  // those that wait for the op before them on their rank
};

}  // namespace bubblescope

// Of many ranks, the one whose time comes first: a tree of pairwise winners.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "sim/search/problem.h"

namespace bubblescope {

class Soonest {
 public:
  explicit Soonest(std::size_t ranks) {
    while (leaves_ < ranks)
      leaves_ *= 2;
    time_.resize(2 * leaves_, kNever);
  }

  static constexpr Ticks kNever = std::numeric_limits<Ticks>::max();

  void fill(std::size_t ranks, Ticks time) {
    std::fill(time_.begin() + offset(0), time_.begin() + offset(ranks), time);
    for (std::size_t node = leaves_; --node > 0;)
      time_[node] = std::min(time_[2 * node], time_[2 * node + 1]);
  }

  Ticks time(Rank rank) const { return time_[leaf(rank)]; }
  void set(Rank rank, Ticks time) {
    std::size_t node = leaf(rank);
    time_[node] = time;
    while ((node /= 2) > 0)
      time_[node] = std::min(time_[2 * node], time_[2 * node + 1]);
  }

  Ticks first_time() const { return time_[1]; }
  /// The lowest rank of those with the first time.
  Rank first_rank() const {
    std::size_t node = 1;
    while (node < leaves_)
      node = 2 * node + (time_[2 * node] == time_[node] ? 0 : 1);
    return static_cast<Rank>(node - leaves_);
  }

 private:
  std::size_t leaf(Rank rank) const { return leaves_ + static_cast<std::size_t>(rank); }
  std::ptrdiff_t offset(std::size_t rank) const {
    return static_cast<std::ptrdiff_t>(leaves_ + rank);
  }

  std::size_t leaves_ = 1;   // a power of two
  std::vector<Ticks> time_;  // [node] node n has the children 2n and 2n + 1
};

}  // namespace bubblescope

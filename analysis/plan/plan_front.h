// The best of what is simulated, by time and by memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sim/base/types.h"
#include "sim/transformer/model.h"

namespace bubblescope {

/// Configurations that take longer than the best by less than so many percent are ties: the costs
/// are not known any better. The medians of errors against measured runs, rounded up: 2.5 % of
/// dense models, 7.6 % of those with experts (docs/accuracy.md).
inline int tie_percent(const Model& model) {
  constexpr int kDense = 3;
  constexpr int kExperts = 8;
  return model.has_experts() ? kExperts : kDense;
}

inline bool ties_with(Time best, Time time, int percent) {
  return time.count() <= best.count() + best.count() / 100 * percent;
}

/// Which times and memories no other one beats in both, and the shortest times.
class PlanFront {
 public:
  /// Keeps the times of so many; ties are within so many percent of the shortest.
  PlanFront(std::size_t shortest, int tie_percent)
      : wanted_(std::max<std::size_t>(1, shortest)), tie_percent_(tie_percent) {}

  void add(Time time, Bytes memory) {
    const auto at = std::upper_bound(times_.begin(), times_.end(), time);
    if (at != times_.end() || times_.size() < wanted_)
      times_.insert(at, time);
    if (times_.size() > wanted_)
      times_.pop_back();
    const Point point = {time, memory};
    auto place = std::lower_bound(points_.begin(), points_.end(), point);
    if (place != points_.begin() && std::prev(place)->memory <= memory)
      return;
    const auto end = std::find_if(place, points_.end(),
                                  [&](const Point& other) { return other.memory < memory; });
    points_.insert(points_.erase(place, end), point);
  }

  bool empty() const { return points_.empty(); }
  Time shortest() const { return points_.front().time; }
  /// Whether one of them takes less time than `time` and no more memory.
  bool beats(Time time, Bytes memory) const {
    const auto place = std::lower_bound(points_.begin(), points_.end(), Point{time, 0});
    return place != points_.begin() && std::prev(place)->memory <= memory;
  }
  /// Whether so long a time is neither a tie of the best nor among the shortest that are wanted.
  bool is_far(Time time) const {
    return times_.size() == wanted_ && times_.back() < time &&
           !ties_with(times_.front(), time, tie_percent_);
  }

 private:
  struct Point {
    Time time;
    Bytes memory;
    friend bool operator<(const Point& a, const Point& b) {
      return a.time != b.time ? a.time < b.time : a.memory < b.memory;
    }
  };

  std::size_t wanted_;
  int tie_percent_;
  std::vector<Point> points_ = {};  // by rising time, falling memory
  std::vector<Time> times_ = {};    // the shortest
};

}  // namespace bubblescope

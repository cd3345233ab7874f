// How one clock runs beside another, from readings before and after.
#pragma once

#include <chrono>
#include <vector>

#include "sim/base/types.h"

namespace bubblescope {

/// How far another clock is ahead of ours, that of another process or of a GPU, and by how much
/// that may be wrong: half of the fastest round trip.
struct ClockReading {
  std::chrono::steady_clock::time_point at;  ///< By our clock.
  std::chrono::nanoseconds ahead;
  std::chrono::nanoseconds uncertainty;
};

/// A straight line through readings: an offset and a drift.
class ClockLine {
 public:
  /// One reading gives an offset alone; more give the line with the least weighted squares, or the
  /// steepest that clocks run. Without readings both clocks are alike.
  explicit ClockLine(const std::vector<ClockReading>& readings);

  /// A moment of their clock, by ours; both in ns since their steady clocks' epochs.
  Time ours(Time theirs) const;
  Time ahead_at(Time ours) const;          ///< How far theirs is ahead then.
  double drift() const { return drift_; }  ///< ns a ns.
  /// How far the line passes by a reading, and how wrong that may be: the largest sum. Between the
  /// readings no straight clock is farther from it.
  Time uncertainty() const { return uncertainty_; }

 private:
  // ahead(t) = ahead_ + drift_ · (t − centre_): nanoseconds of a clock have more digits than a
  // double, differences of moments of one run have not.
  Time centre_{};
  Time ahead_{};
  double drift_ = 0;
  Time uncertainty_{};
};

}  // namespace bubblescope

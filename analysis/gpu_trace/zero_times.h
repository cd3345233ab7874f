// Finds events without a time among those that have one.
#pragma once

#include <algorithm>
#include <chrono>

#include "sim/base/types.h"

namespace bubblescope {

/// Profilers write 0 for a time that they do not have, and a trace may begin at 0 as well: there it
/// is no time where all others lie farther away than they span, and farther than a GPU waits.
class ZeroTimes {
 public:
  template <typename Events>
  explicit ZeroTimes(const Events& events) {
    Time last = Time::min();
    for (const auto& event : events)
      if (event.start != Time::zero()) {
        first_ = std::min(first_, event.start);
        last = std::max(last, event.end);
      }
    if (first_ <= last && first_ > last - first_)
      distance_ = first_;
  }
  /// An event without a duration is one that was not measured, so that less will do.
  bool is_missing(Time start, bool has_duration) const {
    using namespace std::chrono_literals;
    return start == Time::zero() && distance_ > (has_duration ? Time(24h) : Time(1min));
  }
  Time first_real_start() const { return first_; }

 private:
  Time first_ = Time::max();
  Time distance_{};
};

}  // namespace bubblescope

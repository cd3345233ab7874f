// Whether a step goes on.
#pragma once

#include <chrono>
#include <cstddef>
#include <utility>

namespace bubblescope {

/// Time in which this process was stopped does not count.
class Watch {
 public:
  void restart() { *this = {}; }
  /// To be called more often than every tenth of a second. Whether this process was stopped since.
  bool look() {
    constexpr std::chrono::milliseconds kLongestNap{500};
    const auto now = Clock::now();
    const auto away = now - std::exchange(looked_, now);
    if (away < kLongestNap)
      return false;
    moved_ += away;
    return true;
  }
  /// Whether nothing more has ended for so long.
  bool is_over(std::size_t ended, std::chrono::milliseconds timeout) {
    if (ended != std::exchange(ended_, ended))
      moved_ = looked_;
    return looked_ - moved_ >= timeout;
  }
  std::size_t ended() const { return ended_; }

 private:
  using Clock = std::chrono::steady_clock;

  std::size_t ended_ = 0;
  Clock::time_point looked_ = Clock::now();
  Clock::time_point moved_ = looked_;
};

}  // namespace bubblescope

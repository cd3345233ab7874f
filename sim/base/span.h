// A stretch of time.
#pragma once

#include <algorithm>

#include "sim/base/types.h"

namespace bubblescope {

struct Span {
  Time start;
  Time end;

  Time length() const { return end - start; }
  /// Widens it until `other` lies within.
  void include(const Span& other) {
    start = std::min(start, other.start);
    end = std::max(end, other.end);
  }
  friend bool operator==(const Span&, const Span&) = default;
};

/// The span that becomes whatever is first included.
inline constexpr Span kNoSpan{Time::max(), Time::min()};

}  // namespace bubblescope

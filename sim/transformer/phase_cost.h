// What one phase computes, moves and sends, and how long that takes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace bubblescope {

/// What decides how long work takes.
enum class Bound : std::uint8_t { Compute, Memory, NvLink, Network, Host };
/// "compute", "memory", "nvlink", "network", "host", in the order of the enumerators.
std::string_view to_string(Bound bound);

/// A phase of one layer, or the sum over layers.
struct PhaseCost {
  double flops = 0;
  double bytes = 0;    ///< Read from and written to the GPU's memory.
  double traffic = 0;  ///< Bytes that this GPU sends to others.
  std::array<double, 5> seconds_by_bound = {};
  double gaps = 0;  ///< Seconds between kernels.

  double seconds() const;
  /// That which takes most of the time.
  Bound bound() const;
  PhaseCost& operator+=(const PhaseCost& other);
  /// What of it takes longer than something beside it, which takes so many seconds.
  PhaseCost longer_than(double seconds) const;
};

}  // namespace bubblescope

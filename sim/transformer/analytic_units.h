// Units in which costs of a model are computed: bytes, and seconds as real numbers.
#pragma once

#include <cstdint>

#include "sim/base/types.h"

namespace bubblescope {

constexpr double kHalf = 2;  ///< Bytes of bf16, which all but quantized products have.
constexpr double kFull = 4;  ///< Bytes of fp32.

inline double real(std::int64_t value) {
  return static_cast<double>(value);
}

inline double seconds(Time time) {
  return static_cast<double>(time.count()) * 1e-9;
}

}  // namespace bubblescope

// What tensors are filled with and stored as, the same on the host and in kernels.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define BUBBLESCOPE_ANYWHERE __host__ __device__
#else
#define BUBBLESCOPE_ANYWHERE
#endif

namespace bubblescope::gpu {

/// A bfloat16: the upper half of a float.
struct Bf16 {
  std::uint16_t bits;
};

BUBBLESCOPE_ANYWHERE inline float to_float(Bf16 value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
  float result = 0;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

/// To nearest, ties to even; a NaN stays one.
BUBBLESCOPE_ANYWHERE inline Bf16 to_bf16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const bool is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
  return {static_cast<std::uint16_t>(is_nan ? (bits >> 16) | 0x40U : rounded)};
}

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

/// The finalizer of SplitMix64: like a random function of `x`.
BUBBLESCOPE_ANYWHERE inline std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// Element `i` of the random numbers of a key: uniform in −1 … 1.
BUBBLESCOPE_ANYWHERE inline float uniform(std::uint64_t key, std::uint64_t i) {
  const std::uint64_t x = mix(key + (i + 1) * kGolden);
  const auto steps = static_cast<std::int32_t>(x >> 40) - (1 << 23);
  return static_cast<float>(steps) / static_cast<float>(1 << 23);
}

}  // namespace bubblescope::gpu

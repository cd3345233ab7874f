// A short name for a long text, so that a golden file can hold it.
#pragma once

#include <cstdint>
#include <string>

#include <fmt/format.h>

namespace bubblescope {

/// FNV-1a, 64 bits, as sixteen hexadecimal digits.
inline std::string digest(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3U;
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace bubblescope

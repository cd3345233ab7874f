// By what the processes of a job know each other. It keeps strangers out who come by chance, and
// with a secret those who cannot read the network; it does not encrypt.
#pragma once

#include <cstdint>
#include <string_view>

namespace bubblescope {

/// FNV-1a of 64 bits, its bits then mixed by the finalizer of SplitMix64 (Steele, Lea and Flood,
/// 2014), so that also the low ones depend on all letters.
constexpr std::uint64_t mixed_hash(std::string_view text,
                                   std::uint64_t hash = 0xcbf2'9ce4'8422'2325U) {
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100'0000'01b3U;
  }
  hash = (hash ^ (hash >> 30)) * 0xbf58'476d'1ce4'e5b9U;
  hash = (hash ^ (hash >> 27)) * 0x94d0'49bb'1331'11ebU;
  return hash ^ (hash >> 31);
}

constexpr std::uint64_t job_token(std::string_view job, std::string_view secret) {
  return mixed_hash(secret, mixed_hash(job));
}

/// Takes as long for any two: one comparison of whole words.
constexpr bool same_token(std::uint64_t a, std::uint64_t b) {
  return (a ^ b) == 0;
}

}  // namespace bubblescope

// How much a test may do: less under sanitizers, more where it is asked to.
#pragma once

#include <cstdlib>

namespace bubblescope {

/// Sanitizers, and the counting of lines, make tests ten times slower and take memory of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    defined(BUBBLESCOPE_COUNTS_LINES)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// ThreadSanitizer ends a test that lets streams race, to see that the race is found out.
#ifdef __SANITIZE_THREAD__
inline constexpr bool kRefusesRaces = true;
#else
inline constexpr bool kRefusesRaces = false;
#endif

/// Whether BUBBLESCOPE_LONG_TESTS asks for every row of tables whose searches take minutes.
inline bool runs_long() {
  return std::getenv("BUBBLESCOPE_LONG_TESTS") != nullptr;
}

}  // namespace bubblescope

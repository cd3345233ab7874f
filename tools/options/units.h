// Quantities with units, as the command line takes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sim/base/types.h"

namespace bubblescope {

/// What a quantity belongs to, for error messages: "--forward".
struct Quantity {
  std::string_view option;
  std::string_view text;
};

/// A whole number from `least` to `most`. All throw UsageError, with the option and an example.
struct Range {
  std::int64_t least;
  std::int64_t most;
};
std::int64_t parse_count(Quantity quantity, Range range);
/// "601us", "1.5ms", "2s", "10ns", "10µs"; "0" needs no unit.
Time parse_time(Quantity quantity);
/// "2", "2%", "0.5%", as a fraction. A number below 1 needs its sign: 0.05 may mean 5 %.
double parse_percent(Quantity quantity);
/// "64MiB", "80GB", "512B"
Bytes parse_size(Quantity quantity);
/// "50GB/s"; bytes per second.
double parse_rate(Quantity quantity);

}  // namespace bubblescope

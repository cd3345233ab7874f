// Quantities with units, as the command line takes them. Every reader throws UsageError that tells
// what it expected and what it got.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "sim/base/types.h"

namespace bubblescope {

/// "601us", "1.5ms", "2s", "10ns", "10µs"; "0" needs no unit.
Time read_time(std::string_view word);
/// "64MiB", "80GB", "512B"
Bytes read_size(std::string_view word);
/// "50GB/s", or in bits "400Gb/s" and "400Gbps"; bytes per second.
double read_rate(std::string_view word);
/// "2", "2%", "0.5%", as a fraction. A number below 1 needs its sign: 0.05 may mean 5 %.
double read_percent(std::string_view word);
/// "1.5"
double read_factor(std::string_view word, double least, double most);
/// "8192", or "8k" for 8 × 1024.
std::int64_t read_count(std::string_view word, std::int64_t least, std::int64_t most);

/// A reader of whole numbers from `least` to `most`.
template <typename T = int>
auto count_from(std::int64_t least, std::int64_t most = std::numeric_limits<int>::max()) {
  return [=](const std::string& word) { return static_cast<T>(read_count(word, least, most)); };
}

}  // namespace bubblescope

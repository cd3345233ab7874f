// Reads what the text of a trace's events stands for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sim/base/types.h"

namespace bubblescope {

/// Reads a whole number in decimal; gives none for anything else.
std::optional<std::int64_t> whole_number(std::string_view digits);

/// Gives a key that orders whole numbers before words.
std::pair<std::int64_t, std::string> order_of(const std::string& word);

/// Reads a time as `time_from_us_digits` does, faster where it has the usual form.
Time trace_time(std::string_view digits);

/// Gives the text of a JSON string without its quotes, with U+FFFD for each half of a surrogate
/// pair that stands alone; none where it is no such string.
std::optional<std::string> decoded(std::string_view raw);

}  // namespace bubblescope

#include "analysis/gpu_trace/trace_text.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/traces/annotations.h"

namespace bubblescope {
namespace {

/// The usual form, digits with at most three decimals; none for others.
std::optional<Time> plain_time(std::string_view digits) {
  constexpr std::size_t kMostWhole = 16;                 // as times since 1970 have
  constexpr std::int64_t kMost = 4'000'000'000'000'000;  // with the decimals an int64 holds it
  constexpr std::size_t kDecimals = 3;
  std::int64_t value = 0;
  std::size_t at = 0;
  const auto is_digit = [&] {
    return at < digits.size() && digits[at] >= '0' && digits[at] <= '9';
  };
  for (; is_digit(); ++at) {
    if (at == kMostWhole)
      return std::nullopt;
    value = value * 10 + (digits[at] - '0');
  }
  if (at == 0 || value > kMost)
    return std::nullopt;
  std::size_t decimals = 0;
  if (at < digits.size() && digits[at] == '.')
    for (++at; is_digit(); ++at, ++decimals) {
      if (decimals == kDecimals)
        return std::nullopt;
      value = value * 10 + (digits[at] - '0');
    }
  if (at != digits.size())
    return std::nullopt;
  for (; decimals < kDecimals; ++decimals)
    value *= 10;
  return Time(value);
}

/// The code of "\\uD83D", which begins at `at`; 0 for what is none.
unsigned escaped_code(std::string_view raw, std::size_t at) {
  constexpr std::size_t kDigits = 4;
  unsigned code = 0;
  const std::string_view escape = raw.substr(std::min(at, raw.size()), 2 + kDigits);
  if (escape.size() < 2 + kDigits || !escape.starts_with("\\u"))
    return 0;
  const auto [end, error] =
      std::from_chars(escape.data() + 2, escape.data() + escape.size(), code, 16);
  return error == std::errc() && end == escape.data() + escape.size() ? code : 0;
}

/// With U+FFFD for each half of a surrogate pair that stands alone, as cut names have them.
std::string without_lone_surrogates(std::string_view raw) {
  constexpr std::size_t kEscape = 6;  // "\\uD83D"
  const auto is_high = [](unsigned code) { return code >= 0xD800 && code < 0xDC00; };
  const auto is_low = [](unsigned code) { return code >= 0xDC00 && code < 0xE000; };
  std::string text;
  for (std::size_t i = 0; i < raw.size();) {
    const unsigned code = escaped_code(raw, i);
    const bool is_pair = is_high(code) && is_low(escaped_code(raw, i + kEscape));
    const bool is_lone = !is_pair && (is_high(code) || is_low(code));
    const std::size_t length = is_pair ? 2 * kEscape : is_lone ? kEscape : raw[i] == '\\' ? 2 : 1;
    text += is_lone ? "\\ufffd" : raw.substr(i, length);
    i += length;
  }
  return text;
}

}  // namespace

std::optional<std::int64_t> whole_number(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return value;
}

std::pair<std::int64_t, std::string> order_of(const std::string& word) {
  return {whole_number(word).value_or(std::numeric_limits<std::int64_t>::max()), word};
}

Time trace_time(std::string_view digits) {
  const auto time = plain_time(digits);
  return time ? *time : time_from_us_digits(digits);
}

std::optional<std::string> decoded(std::string_view raw) {
  if (raw.find('\\') == raw.npos)
    return std::string(raw);
  const auto json =
      nlohmann::json::parse(fmt::format("\"{}\"", without_lone_surrogates(raw)), nullptr, false);
  if (!json.is_string())
    return std::nullopt;
  return json.get<std::string>();
}

}  // namespace bubblescope

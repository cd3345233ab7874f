#include "sim/base/printable.h"

namespace bubblescope {
namespace {

/// How many bytes a character with this first byte has; 0 where none begins with it.
std::size_t sequence_length(unsigned char first) {
  if (first < 0x80U)
    return 1;
  if (first < 0xC2U || first > 0xF4U)
    return 0;
  return first < 0xE0U ? 2 : first < 0xF0U ? 3 : 4;
}

bool is_control(char32_t code) {
  const bool turns_writing = code == 0x061CU || code == 0x200EU || code == 0x200FU ||
                             (code >= 0x2028U && code <= 0x202EU) ||  // with the line separators
                             (code >= 0x2066U && code <= 0x2069U);
  return code < 0x20U || (code >= 0x7FU && code < 0xA0U) || turns_writing;
}

/// `text` with "…" for what comes after so many characters.
std::string cut(const std::string& text, std::size_t most_characters) {
  std::size_t end = 0;
  for (std::size_t i = 0; i < most_characters && end < text.size(); ++i)
    end += first_character(std::string_view(text).substr(end)).bytes;
  return end < text.size() ? text.substr(0, end) + "…" : text;
}

}  // namespace

Character first_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t bytes = sequence_length(first);
  if (bytes == 0 || bytes > text.size())
    return {};
  char32_t code = bytes == 1 ? first : first & (0x7FU >> bytes);
  for (const char each : text.substr(1, bytes - 1)) {
    const auto byte = static_cast<unsigned char>(each);
    if ((byte & 0xC0U) != 0x80U)
      return {};
    code = code << 6U | (byte & 0x3FU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // a longer form is no UTF-8
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  const bool is_one = code >= kLeast[bytes] && code <= 0x10FFFF && !is_surrogate;
  return is_one ? Character{bytes, !is_control(code)} : Character{};
}

bool has_unprintable(std::string_view text) {
  while (!text.empty()) {
    const Character next = first_character(text);
    if (!next.is_printable && text.front() != '\n')
      return true;
    text.remove_prefix(next.bytes);
  }
  return false;
}

std::string printable(std::string_view text) {
  return printable(text, [](std::string_view) { return std::size_t{0}; });
}

std::string printable_words(std::string_view text, std::size_t most_characters) {
  return cut(printable(text,
                       [](std::string_view rest) {
                         return std::size_t{rest.front() == '\n' || rest.front() == '\t'};
                       }),
             most_characters);
}

std::string printable_name(std::string_view text) {
  constexpr std::size_t kMostCharacters = 64;
  return text.empty() ? "unnamed" : cut(printable(text), kMostCharacters);
}

}  // namespace bubblescope

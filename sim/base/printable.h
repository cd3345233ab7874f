// Text that comes from outside, as it may stand on a terminal.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace bubblescope {

struct Character {
  std::size_t bytes = 1;
  bool is_printable = false;
};

/// The one that `text`, which has some, begins with. A control character, a mark that turns the
/// direction of writing, and a byte that is no UTF-8 are not printable.
Character first_character(std::string_view text);

/// Whether a character of `text`, line breaks aside, is not printable.
bool has_unprintable(std::string_view text);

/// `text` with a '?' for each character that is not printable. `kept(rest)` tells how many bytes
/// stay as they are at the beginning of the rest.
template <typename Kept>
std::string printable(std::string_view text, const Kept& kept) {
  std::string shown;
  while (!text.empty()) {
    const Character next = first_character(text);
    const std::size_t as_is = next.is_printable ? next.bytes : kept(text);
    shown += as_is > 0 ? text.substr(0, as_is) : "?";
    text.remove_prefix(std::max(as_is, next.bytes));
  }
  return shown;
}

/// `text` with a '?' for each unprintable character, line breaks included.
std::string printable(std::string_view text);

/// In one or more lines, cut after so many characters.
std::string printable_words(std::string_view text, std::size_t most_characters);

/// In one line, cut after 64 characters; "unnamed" where there is none.
std::string printable_name(std::string_view text);

}  // namespace bubblescope

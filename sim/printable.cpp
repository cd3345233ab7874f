#include "sim/printable.h"

#include <cstddef>

namespace bubblescope {

std::string printable_name(std::string_view text) {
  constexpr int kMostCharacters = 64;
  if (text.empty())
    return "unnamed";
  std::string name;
  int characters = 0;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;  // of a character, whose further bytes are 10xxxxxx
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
      ++end;
    if (++characters > kMostCharacters)
      return name + "…";
    const auto first = static_cast<unsigned char>(text[i]);
    const bool is_c1 =
        first == 0xC2U && end == i + 2 && static_cast<unsigned char>(text[i + 1]) < 0xA0U;
    if (first < 0x20U || first == 0x7FU || is_c1)
      name += '?';
    else
      name += text.substr(i, end - i);
    i = end;
  }
  return name;
}

}  // namespace bubblescope

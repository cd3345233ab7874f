#include <cctype>
#include <charconv>
#include <cstdint>
#include <optional>

#include "tools/import/shell.h"

namespace bubblescope {
namespace {

using Number = std::optional<std::int64_t>;

Number apply(Number a, char how, Number b) {
  std::int64_t result = 0;
  if (!a || !b || (how == '/' && (*b == 0 || *b == -1)))
    return std::nullopt;
  if (how == '/')
    return *a / *b;
  const bool overflows = how == '+'   ? __builtin_add_overflow(*a, *b, &result)
                         : how == '-' ? __builtin_sub_overflow(*a, *b, &result)
                                      : __builtin_mul_overflow(*a, *b, &result);
  return overflows ? std::nullopt : Number(result);
}

char next(std::string_view& text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text[0])) != 0)
    text.remove_prefix(1);
  return text.empty() ? '\0' : text[0];
}

/// Takes operands that `first` and `second` join; those of + and − are products.
Number operation(std::string_view& text, char first, char second);

Number operand(std::string_view& text) {
  const char c = next(text);
  if (c == '(') {
    text.remove_prefix(1);
    const Number value = operation(text, '+', '-');
    if (next(text) != ')')
      return std::nullopt;
    text.remove_prefix(1);
    return value;
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc() ? Number(value) : std::nullopt;
}

Number operation(std::string_view& text, char first, char second) {
  const auto part = [&] { return first == '+' ? operation(text, '*', '/') : operand(text); };
  Number value = part();
  for (char how = next(text); how == first || how == second; how = next(text)) {
    text.remove_prefix(1);
    value = apply(value, how, part());
  }
  return value;
}

}  // namespace

std::string arithmetic(std::string_view text) {
  constexpr std::size_t kMostCharacters = 400;  // parentheses are as deep as the stack
  if (text.size() > kMostCharacters)
    return "";
  const Number value = operation(text, '+', '-');
  return value && next(text) == '\0' ? std::to_string(*value) : "";
}

}  // namespace bubblescope

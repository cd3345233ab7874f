#include "sim/formats/tokens.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <iterator>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"

namespace bubblescope {
namespace {

struct KindName {
  std::string_view name;
  bool has_microbatch;
};
constexpr KindName kKinds[] = {{"F", true},        {"I", true},        {"W", true},
                               {"B", true},        {"BW", true},       {"SEND_F", true},
                               {"RECV_F", true},   {"SEND_B", true},   {"RECV_B", true},
                               {"UNSHARD", false}, {"RESHARD", false}, {"REDUCE_GRAD", false}};
constexpr std::string_view kOverlap = "OVERLAP_F_B";

std::string_view name(TokenKind kind) {
  return kKinds[static_cast<std::size_t>(kind)].name;
}

/// Reads a word from its beginning on; its faults name the whole word.
class WordParser {
 public:
  explicit WordParser(std::string_view word) : word_(word), rest_(word) {}

  Word parse() {
    Word result{};
    if (skip("(")) {
      result.token = token();
      expect(";", "between the two ops of a pair");
      result.overlapped = token();
      expect(")", "after the two ops of a pair");
      expect(kOverlap, "after a pair");
      if (result.token.kind != TokenKind::Forward || result.overlapped->kind != TokenKind::Backward)
        fail("expected an F, then a B, in a pair");
    } else {
      result.token = token();
    }
    if (!rest_.empty())
      fail(fmt::format("expected nothing after {}, got {}",
                       quoted_word(word_.substr(0, word_.size() - rest_.size())),
                       quoted_word(rest_)));
    return result;
  }

 private:
  Token token() {
    Token result{};
    result.stage = number("a stage, such as 0 in 0F3,");
    if (result.stage >= Op::kMostStages)
      fail(fmt::format("stage {} is too large", result.stage));
    result.kind = kind();
    if (kKinds[static_cast<std::size_t>(result.kind)].has_microbatch)
      result.microbatch = number(fmt::format("a micro-batch after {}", name(result.kind)));
    return result;
  }

  std::int32_t number(std::string_view what) {
    std::int32_t value = 0;
    const bool is_digit = !rest_.empty() && '0' <= rest_.front() && rest_.front() <= '9';
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (!is_digit)
      fail(fmt::format("expected {} {}", what,
                       rest_.empty() ? "and the word ends" : "and got " + quoted_word(rest_)));
    if (error != std::errc())
      fail(fmt::format("the number {} is too large", quoted_word(rest_)));
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  TokenKind kind() {
    const std::size_t size =
        std::min(rest_.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"),
                 rest_.size());
    const std::string_view given = rest_.substr(0, size);
    for (std::size_t i = 0; i < std::size(kKinds); ++i)
      if (kKinds[i].name == given) {
        rest_.remove_prefix(size);
        return static_cast<TokenKind>(i);
      }
    if (given.starts_with("WAIT_"))
      fail("is of PyTorch's messages since 2.15; those up to 2.14 are read, and orders of any");
    std::vector<std::string> names;
    for (const KindName& each : kKinds)
      names.emplace_back(each.name);
    fail(fmt::format("expected one of {} after the stage, got {}{}", fmt::join(names, ", "),
                     quoted_word(size > 0 ? given : rest_), did_you_mean(given, names)));
  }

  bool skip(std::string_view text) {
    const bool found = rest_.starts_with(text);
    if (found)
      rest_.remove_prefix(text.size());
    return found;
  }

  void expect(std::string_view text, std::string_view where) {
    if (!skip(text))
      fail(fmt::format("expected {} {}", text, where));
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("{}: {}", quoted_word(word_), what));
  }

  std::string_view word_;
  std::string_view rest_;
};

}  // namespace

Word parse_word(std::string_view text) {
  return WordParser(text).parse();
}

Op op_of(const Token& token) {
  constexpr OpKind kOf[] = {OpKind::Forward, OpKind::BackwardInput, OpKind::BackwardWeight,
                            OpKind::Backward};
  return {kOf[static_cast<std::size_t>(token.kind)], token.stage, token.microbatch};
}

std::string quoted_word(std::string_view word) {
  constexpr std::size_t kLongest = 40;
  std::string text = "'";
  for (const char c : word.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte < 0x20 || byte >= 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return text + (word.size() > kLongest ? "…'" : "'");
}

}  // namespace bubblescope

// Reads PyTorch's words for what a rank does, which sim/schedule/words.h writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sim/schedule/op.h"

namespace bubblescope {

enum class TokenKind : std::uint8_t {
  Forward,         ///< F
  BackwardInput,   ///< I
  BackwardWeight,  ///< W
  Backward,        ///< B
  OldBackward,     ///< BW: the full backward before PyTorch 2.6, where B was the input gradient
  SendForward,
  ReceiveForward,
  SendBackward,
  ReceiveBackward,
  Unshard,
  Reshard,
  ReduceGrad,
};
constexpr bool is_compute(TokenKind kind) {
  return kind <= TokenKind::OldBackward;
}
constexpr bool is_message(TokenKind kind) {
  return TokenKind::SendForward <= kind && kind <= TokenKind::ReceiveBackward;
}

/// One word, taken apart.
struct Token {
  TokenKind kind;
  Stage stage;
  MicroBatch microbatch;  ///< 0 where the kind has none.
};

/// A word of one token, or of a pair's two.
struct Word {
  Token token;
  std::optional<Token> overlapped = {};
};

/// Reads one word, without blanks around it. Throws Error with the word and what was expected;
/// where it stands in a file is for the caller to add.
Word parse_word(std::string_view text);

/// What an action's token does; of PyTorch's dialect since 2.6.
Op op_of(const Token& token);

/// A word as an error message quotes it: cut at 40 bytes, unprintable ones as \xNN.
std::string quoted_word(std::string_view word);

}  // namespace bubblescope

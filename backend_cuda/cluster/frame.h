// What goes over a line: frames of a kind and a payload, each after its length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace bubblescope {

enum class FrameKind : std::uint8_t {
  Hello = 1,  ///< The first of a follower: who it is.
  Welcome,    ///< All have come: who the leader is.
  Refused,    ///< The job cannot begin: why.
  Life,       ///< A sign of life.
  Goodbye,    ///< Nothing follows, and that is in order.
  Gather,     ///< What a follower gives to all.
  Gathered,   ///< What all have given.
  Mail,
  Loss,  ///< Which process is lost, and why. The leader passes it on.
  Ping,
  Pong,  ///< When a ping came, and when this was sent.
};

/// The other end does not speak this language.
class BadFrame : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The user's text for it, after the name of the sender.
constexpr const char* kBrokeProtocol = "sent a message that this protocol does not have";

struct Frame {
  FrameKind kind;
  std::string payload;
};

/// A frame as bytes; many lines may send the same.
using FrameBytes = std::shared_ptr<const std::string>;

/// Before the other end is known, and after.
constexpr std::size_t kLongestHello = 4'096;
constexpr std::size_t kLongestPayload = std::size_t{1} << 30;
/// The longest text that is shown, unless its reader says otherwise.
constexpr std::size_t kMostCharacters = 1'024;

/// Throws DeviceError if the payload is longer than any may be.
FrameBytes frame_bytes(FrameKind kind, std::string_view payload);

/// Takes frames out of bytes as they come.
class FrameReader {
 public:
  explicit FrameReader(std::size_t longest) : longest_(longest) {}

  void expect_up_to(std::size_t longest) { longest_ = longest; }
  void feed(std::string_view bytes);
  /// The next one, once it is whole. Throws BadFrame.
  std::optional<Frame> next();

 private:
  std::size_t longest_;
  std::string bytes_;
  std::size_t taken_ = 0;  // of bytes_
};

/// Payloads of integers and numbers, little end first, and of texts.
class Packer {
 public:
  Packer& byte(char value);
  Packer& integer(std::int64_t value);
  Packer& real(double value);
  Packer& text(std::string_view value);
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what another process has packed, which may be anything: each value is taken within the
/// bounds that its use has. Throws BadFrame where it lies beyond them, or too little is left.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}

  char byte();
  std::int64_t integer();  ///< Any, as a hash is.
  std::int64_t integer(std::int64_t least, std::int64_t most);
  double real();
  std::string text();  ///< Any bytes, to be compared or unpacked.
  /// To be shown: `printable_words`.
  std::string words(std::size_t most_characters = kMostCharacters);
  /// Nothing may follow.
  void end() const;

 private:
  std::string_view take(std::size_t count);

  std::string_view rest_;
};

}  // namespace bubblescope

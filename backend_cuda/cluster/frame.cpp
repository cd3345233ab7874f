#include "backend_cuda/cluster/frame.h"

#include <bit>
#include <string>
#include <string_view>

#include "backend_cuda/replay/executor.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr std::size_t kHead = 5;  // length and kind
constexpr std::size_t kEnoughToMove = 65'536;
constexpr std::size_t kMostToKeep = std::size_t{1} << 20;

template <class Unsigned>
void append_bytes(std::string& bytes, Unsigned value) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    bytes += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
}

template <class Unsigned>
Unsigned from_bytes(std::string_view bytes) {
  Unsigned value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i)
    value |= static_cast<Unsigned>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

}  // namespace

FrameBytes frame_bytes(FrameKind kind, std::string_view payload) {
  if (payload.size() > kLongestPayload)
    throw DeviceError("a message between processes is longer than 1 GiB");
  std::string bytes;
  bytes.reserve(kHead + payload.size());
  append_bytes(bytes, static_cast<std::uint32_t>(payload.size()));
  bytes += static_cast<char>(kind);
  bytes += payload;
  return std::make_shared<const std::string>(std::move(bytes));
}

void FrameReader::feed(std::string_view bytes) {
  if (taken_ == bytes_.size() || taken_ > kEnoughToMove) {
    bytes_.erase(0, taken_);
    taken_ = 0;
  }
  if (bytes_.empty() && bytes_.capacity() > kMostToKeep)
    bytes_.shrink_to_fit();
  bytes_ += bytes;
}

std::optional<Frame> FrameReader::next() {
  const std::string_view rest = std::string_view(bytes_).substr(taken_);
  if (rest.size() < kHead)
    return std::nullopt;
  const std::size_t length = from_bytes<std::uint32_t>(rest);
  const auto kind = static_cast<FrameKind>(rest[kHead - 1]);
  if (length > longest_ || kind < FrameKind::Hello || kind > FrameKind::Pong)
    throw BadFrame("no frame");
  if (rest.size() < kHead + length)
    return std::nullopt;
  taken_ += kHead + length;
  return Frame{kind, std::string(rest.substr(kHead, length))};
}

Packer& Packer::byte(char value) {
  bytes_ += value;
  return *this;
}

Packer& Packer::integer(std::int64_t value) {
  append_bytes(bytes_, static_cast<std::uint64_t>(value));
  return *this;
}

Packer& Packer::real(double value) {
  return integer(std::bit_cast<std::int64_t>(value));
}

Packer& Packer::text(std::string_view value) {
  integer(static_cast<std::int64_t>(value.size()));
  bytes_ += value;
  return *this;
}

char Unpacker::byte() {
  return take(1).front();
}

std::int64_t Unpacker::integer() {
  return static_cast<std::int64_t>(from_bytes<std::uint64_t>(take(sizeof(std::uint64_t))));
}

std::int64_t Unpacker::integer(std::int64_t least, std::int64_t most) {
  const std::int64_t value = integer();
  if (value < least || value > most)
    throw BadFrame("a number out of range");
  return value;
}

double Unpacker::real() {
  return std::bit_cast<double>(integer());
}

std::string Unpacker::text() {
  const std::int64_t size = integer(0, std::int64_t{kLongestPayload});
  return std::string(take(static_cast<std::size_t>(size)));
}

std::string Unpacker::words(std::size_t most_characters) {
  return printable_words(text(), most_characters);
}

void Unpacker::end() const {
  if (!rest_.empty())
    throw BadFrame("a frame ends too late");
}

std::string_view Unpacker::take(std::size_t count) {
  if (count > rest_.size())
    throw BadFrame("a frame ends too early");
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

}  // namespace bubblescope

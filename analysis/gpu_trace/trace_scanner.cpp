#include "analysis/gpu_trace/trace_scanner.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"

namespace bubblescope {
namespace {

constexpr std::size_t kWindow = std::size_t{1} << 19;  // fits a core's cache
constexpr std::size_t kMostOfKey = 40;                 // that an error shows

bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/// Bytes that a scan stops at outside strings.
constexpr std::array<bool, 256> kMarks = [] {
  std::array<bool, 256> marks{};
  for (const char c : {'"', '{', '}', '[', ']'})
    marks[static_cast<unsigned char>(c)] = true;
  return marks;
}();

/// The first quote or backslash from `at` on; eight bytes at a time, found as a zero byte of their
/// difference: (x − 0x01…) & ~x & 0x80… marks it, and bytes above it, which do not matter.
const char* end_of_plain(const char* at, const char* end) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHigh = kOnes << 7;
  const auto zero_bytes = [](std::uint64_t x) { return (x - kOnes) & ~x & kHigh; };
  for (; end - at >= 8; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    const std::uint64_t found =
        zero_bytes(word ^ (kOnes * '"')) | zero_bytes(word ^ (kOnes * '\\'));
    if (found != 0)
      return at + std::countr_zero(found) / 8;
  }
  while (at < end && *at != '"' && *at != '\\')
    ++at;
  return at;
}

}  // namespace

TraceScanner::TraceScanner(const std::string& path, std::vector<std::string_view> wanted)
    : path_(path), wanted_(std::move(wanted)), file_(path), buffer_(kWindow + kPadding) {}

void TraceScanner::fail(std::string_view what) const {
  throw Error(fmt::format("{}: {}", path_, what));
}

void TraceScanner::fail_no_trace() const {
  throw NoTrace(fmt::format("{}: expected a trace: an array of events, or \"traceEvents\"", path_));
}

std::string TraceScanner::place() const {
  if (part_ == Part::Events)
    return fmt::format("in event {}", events_);
  return key_.empty() ? "before its events" : fmt::format("in \"{}\"", key_.substr(0, kMostOfKey));
}

/// Reads on, behind what is kept from index `keep` on, which comes to stand at index 1. False at
/// the end of the file.
bool TraceScanner::refill(std::size_t keep) {
  if (is_at_end_)
    return false;
  const std::size_t kept = end_ - keep;
  std::memmove(buffer_.data() + 1, buffer_.data() + keep, kept);
  at_ -= keep - 1;
  end_ = kept + 1;
  if (end_ + kPadding == buffer_.size()) {
    if (buffer_.size() - kPadding >= kMostBytes)
      fail(fmt::format("a value has more than {} MiB {}", kMostBytes >> 20, place()));
    buffer_.resize((buffer_.size() - kPadding) * 2 + kPadding);
  }
  const std::size_t space = buffer_.size() - kPadding - end_;
  const auto got = static_cast<std::size_t>(
      file_.sgetn(buffer_.data() + end_, static_cast<std::streamsize>(space)));
  end_ += got;
  is_at_end_ = got < space;
  return got > 0;
}

/// The next byte, or -1 at the end of the file.
int TraceScanner::peek() {
  if (at_ == end_ && !refill(at_))
    return -1;
  return static_cast<unsigned char>(buffer_[at_]);
}

void TraceScanner::pass_blanks() {
  for (int c = peek(); c >= 0 && is_blank(static_cast<char>(c)); c = peek())
    ++at_;
}

void TraceScanner::expect(char wanted, std::string_view where) {
  pass_blanks();
  const int c = peek();
  if (c < 0)
    fail(fmt::format("ends early, {}", place()));
  if (c != wanted)
    fail(fmt::format("expected '{}' {}, got '{}'", wanted, where, static_cast<char>(c)));
  ++at_;
}

/// To behind the bracket that closes the outermost one, or to `end`.
const char* TraceScanner::pass(const char* at, const char* end, Depth& depth) const {
  while (at < end) {
    if (depth.is_escaped) {
      depth.is_escaped = false;
      ++at;
      continue;
    }
    if (depth.in_string) {
      at = end_of_plain(at, end);
      if (at == end)
        return end;
      depth.is_escaped = *at == '\\';
      depth.in_string = *at != '"';
      ++at;
      if (depth.brackets == 0 && !depth.in_string)
        return at;
      continue;
    }
    while (!kMarks[static_cast<unsigned char>(*at)])
      if (++at == end)
        return end;
    const char mark = *at++;
    if (mark == '"')
      depth.in_string = true;
    else if (mark == '}' || mark == ']')
      --depth.brackets;
    else if (++depth.brackets > kMostDepth)
      fail(fmt::format("nests deeper than {} {}", kMostDepth, place()));
    if (depth.brackets == 0 && !depth.in_string)
      return at;
  }
  return end;
}

/// A value as it is written, which is kept whole in the buffer.
std::string_view TraceScanner::take_value() {
  for (;;) {
    const char first = buffer_[at_];
    const char* begin = buffer_.data() + at_;
    const char* end = buffer_.data() + end_;
    if (first == '{' || first == '[' || first == '"') {
      Depth depth;
      const char* after = pass(begin, end, depth);
      if (depth.brackets == 0 && !depth.in_string) {
        at_ += static_cast<std::size_t>(after - begin);
        return {begin, after};
      }
    } else {
      const char* after = std::find_if(
          begin, end, [](char c) { return is_blank(c) || c == ',' || c == '}' || c == ']'; });
      if (after == begin)
        fail(fmt::format("expected a value {}, got '{}'", place(), first));
      if (after != end) {
        at_ += static_cast<std::size_t>(after - begin);
        return {begin, after};
      }
    }
    if (!refill(at_))
      fail(fmt::format("ends early, {}", place()));
  }
}

void TraceScanner::skip_value() {
  Depth depth;
  const bool is_scalar = buffer_[at_] != '{' && buffer_[at_] != '[' && buffer_[at_] != '"';
  if (is_scalar) {
    take_value();
    return;
  }
  for (;;) {
    const char* begin = buffer_.data() + at_;
    const char* after = pass(begin, buffer_.data() + end_, depth);
    at_ += static_cast<std::size_t>(after - begin);
    if (depth.brackets == 0 && !depth.in_string)
      return;
    if (!refill(at_))
      fail(fmt::format("ends early, {}", place()));
  }
}

void TraceScanner::start() {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";  // some editors put it before UTF-8
  if (peek() >= 0 && std::string_view(buffer_.data() + at_, end_ - at_).starts_with(kMark))
    at_ += kMark.size();
  pass_blanks();
  const int c = peek();
  if (c < 0)
    fail("is empty");
  if (c != '{' && c != '[')
    fail_no_trace();
  ++at_;
  is_array_ = has_events_ = c == '[';
  part_ = is_array_ ? Part::Events : Part::Members;
}

/// False where the members, or the events, are at their end.
bool TraceScanner::next_member(TracePiece& piece) {
  pass_blanks();
  if (peek() == '}') {
    ++at_;
    part_ = Part::Done;
    return false;
  }
  if (!std::exchange(is_first_, false))
    expect(',', fmt::format("behind \"{}\"", key_.substr(0, kMostOfKey)));
  pass_blanks();
  if (peek() != '"')
    fail(peek() < 0 ? fmt::format("ends early, {}", place())
                    : fmt::format("expected a key, got '{}'", buffer_[at_]));
  const std::string_view quoted = take_value();
  key_ = quoted.substr(1, quoted.size() - 2);
  expect(':', fmt::format("behind \"{}\"", key_.substr(0, kMostOfKey)));
  pass_blanks();
  const int c = peek();
  if (c < 0)
    fail(fmt::format("ends early, {}", place()));
  if (key_ == "traceEvents") {
    if (c != '[')
      fail("/traceEvents: expected an array");
    ++at_;
    part_ = Part::Events;
    has_events_ = is_first_ = true;
    return false;
  }
  piece = {.kind = TracePiece::Kind::Member, .key = key_};
  if (std::find(wanted_.begin(), wanted_.end(), key_) == wanted_.end()) {
    skip_value();
  } else {
    piece.text = take_value();
    piece.capacity = piece.text.size() + kPadding;
  }
  return true;
}

/// Goes to the next event's bracket, or to the one behind the last event.
TraceScanner::Next TraceScanner::find_event(const char*& at, const char* end) const {
  const auto is_over = [&] {
    at = std::find_if_not(at, end, is_blank);
    return at == end;
  };
  if (is_over())
    return Next::Unknown;
  const bool has_comma = *at == ',' && !is_first_;
  if (has_comma && (++at, is_over()))
    return Next::Unknown;
  if (*at == ']' && (!has_comma || is_array_))
    return Next::End;
  if (*at != '{' || (!is_first_ && !has_comma))
    fail(fmt::format("expected {} behind event {}, got '{}'",
                     has_comma || is_first_ ? "an event" : "',' or ']'", events_, *at));
  return Next::Event;
}

/// As many events as are in the buffer whole, at least one. They become an array of their own: its
/// brackets overwrite what stands around them.
bool TraceScanner::next_events(TracePiece& piece) {
  std::size_t begin = 0;
  std::size_t count = 0;
  for (;;) {
    const char* at = buffer_.data() + at_;
    const char* end = buffer_.data() + end_;
    Next next = find_event(at, end);
    if (next == Next::Event) {
      const char* open = at;
      Depth depth;
      at = pass(at, end, depth);
      if (depth.brackets == 0 && !depth.in_string) {
        if (count++ == 0)
          begin = static_cast<std::size_t>(open - buffer_.data());
        at_ = static_cast<std::size_t>(at - buffer_.data());
        ++events_;
        is_first_ = false;
        continue;
      }
      next = Next::Unknown;
    }
    if (count > 0)
      break;
    if (next == Next::End) {
      at_ = static_cast<std::size_t>(at - buffer_.data()) + 1;
      part_ = is_array_ ? Part::Done : Part::Members;
      is_first_ = false;
      return false;
    }
    if (!refill(at_)) {
      lacks_end_ = is_array_ && events_ > 0 && at_rest_is_blank();
      if (!lacks_end_)
        fail(fmt::format("ends early, {}", place()));
      at_ = end_;
      part_ = Part::Done;
      return false;
    }
  }
  behind_ = std::exchange(buffer_[at_], ']');
  buffer_[begin - 1] = '[';
  piece = {.kind = TracePiece::Kind::Events,
           .text = {buffer_.data() + begin - 1, at_ - begin + 2},
           .capacity = at_ - begin + 2 + kPadding - 1,
           .events = count};
  return true;
}

/// But for a comma.
bool TraceScanner::at_rest_is_blank() const {
  std::string_view rest(buffer_.data() + at_, end_ - at_);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
  rest.remove_prefix(rest.starts_with(',') ? 1 : 0);
  return rest.find_first_not_of(" \t\r\n") == rest.npos;
}

TracePiece TraceScanner::next() {
  if (behind_)
    buffer_[at_] = *std::exchange(behind_, std::nullopt);
  if (part_ == Part::Start)
    start();
  TracePiece piece;
  while (part_ != Part::Done)
    if (part_ == Part::Events ? next_events(piece) : next_member(piece))
      return piece;
  pass_blanks();
  if (const int c = peek(); c >= 0)
    fail(fmt::format("expected nothing behind the trace, got '{}'", static_cast<char>(c)));
  if (!has_events_)
    fail_no_trace();
  return {};
}

}  // namespace bubblescope

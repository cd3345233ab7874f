// Cuts a trace of any size into pieces that fit in memory, without knowing what events mean:
//
//     {"schemaVersion": 1, "distributedInfo": {…}, "traceEvents": [{…}, {…}, …], …}
//     [{…}, {…}, …]
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/traces/unpacked_file.h"
#include "sim/base/error.h"

namespace bubblescope {

/// Of a file that begins as no trace does, or has no events.
class NoTrace : public Error {
 public:
  using Error::Error;
};

/// A member of the outermost object, or some events. Views hold until the next piece is asked for.
struct TracePiece {
  enum class Kind : std::uint8_t { Member, Events, End } kind = Kind::End;
  std::string_view key = {};   ///< Of a member, as it is written.
  std::string_view text = {};  ///< Of a member its value, where it is wanted; of events an array.
  std::size_t capacity = 0;    ///< Bytes from the text's begin that may be read.
  std::size_t events = 0;      ///< In the text.
};

/// Follows strings and brackets alone; what stands between them is for a parser. Throws Error, with
/// file and place, for what is no such trace, ends early, nests deeper than `kMostDepth` or has an
/// event or a wanted member of more than `kMostBytes`. Chrome's format lets an array of events lack
/// its end: that is told by `lacks_end`.
class TraceScanner {
 public:
  static constexpr int kMostDepth = 1000;
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20;
  /// What a parser may read behind a text.
  static constexpr std::size_t kPadding = 128;

  /// `wanted`: the members whose values are given.
  TraceScanner(const std::string& path, std::vector<std::string_view> wanted);

  TracePiece next();
  bool lacks_end() const { return lacks_end_; }
  bool is_array() const { return is_array_; }

 private:
  /// How far into a value a scan is.
  struct Depth {
    int brackets = 0;
    bool in_string = false;
    bool is_escaped = false;
  };
  enum class Part : std::uint8_t { Start, Members, Events, Done };
  enum class Next : std::uint8_t { Event, End, Unknown };

  [[noreturn]] void fail(std::string_view what) const;
  [[noreturn]] void fail_no_trace() const;
  std::string place() const;
  bool refill(std::size_t keep);
  int peek();
  void pass_blanks();
  void expect(char wanted, std::string_view where);
  const char* pass(const char* at, const char* end, Depth& depth) const;
  std::string_view take_value();
  void skip_value();
  void start();
  bool next_member(TracePiece& piece);
  Next find_event(const char*& at, const char* end) const;
  bool next_events(TracePiece& piece);
  bool at_rest_is_blank() const;

  std::string path_;
  std::vector<std::string_view> wanted_;
  UnpackedFile file_;
  std::vector<char> buffer_;
  std::size_t at_ = 1;   // the next byte; those before may be overwritten
  std::size_t end_ = 1;  // of the bytes that were read
  bool is_at_end_ = false;
  Part part_ = Part::Start;
  bool is_array_ = false;
  bool is_first_ = true;  // of the members or the events: no comma stands before it
  bool lacks_end_ = false;
  bool has_events_ = false;
  std::size_t events_ = 0;
  std::string key_ = {};
  std::optional<char> behind_ = {};  // what stood where the last piece's bracket was put
};

}  // namespace bubblescope

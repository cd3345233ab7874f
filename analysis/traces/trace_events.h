// The events of a Chrome trace, one after another, and how ranks and actions look in it.
#pragma once

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "analysis/traces/sink.h"
#include "sim/engine/timeline.h"
#include "sim/schedule/op.h"

namespace bubblescope {

class TraceEvents {
 public:
  explicit TraceEvents(const Sink& sink) : sink_(sink) {}

  /// Writes text between events; the last is followed by `finish`.
  template <typename... Args>
  void emit(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(buffer_), format, std::forward<Args>(args)...);
  }
  /// Writes an event, whose keys the format has.
  template <typename... Args>
  void event(fmt::format_string<Args...> format, Args&&... args) {
    buffer_.append(std::string_view(std::exchange(first_, false) ? "\n{" : ",\n{"));
    emit(format, std::forward<Args>(args)...);
    emit("}}");
    if (buffer_.size() > kPiece)
      flush();
  }
  void finish();

  void name_process(Rank rank);
  void name_thread(Rank rank, int thread, std::string_view name);

  /// "F3", "F7&B3": viewers give one colour to names that differ in digits only.
  static std::string label(const Action& action);
  /// "act 3", "grad 3"
  static std::string label(const Op& output);
  /// Reserved names of catapult's colour scheme; an unknown one makes it refuse the file.
  static const char* colour(const Action& action);
  static std::string microseconds(Time time);

 private:
  static constexpr std::size_t kPiece = std::size_t{1} << 16;
  void flush();

  const Sink& sink_;
  fmt::memory_buffer buffer_;
  bool first_ = true;
};

}  // namespace bubblescope

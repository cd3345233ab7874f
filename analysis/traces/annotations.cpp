#include "analysis/traces/annotations.h"

#include <algorithm>
#include <istream>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/traces/unpacked_file.h"
#include "sim/base/error.h"

namespace bubblescope {
namespace {

using nlohmann::json;

/// Takes the events out of the stream of a parser's tokens. An event is an object in an array that
/// is the whole file, or "traceEvents" of the object that is.
class EventReader : public json::json_sax_t {
 public:
  EventReader(const std::string& path, const std::function<bool(std::string_view)>& counts,
              const std::function<void(const Annotation&)>& visit)
      : path_(path), counts_(counts), visit_(visit) {}

  bool null() override { return token("null"); }
  bool boolean(bool value) override { return token(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return token(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return token(std::to_string(value)); }
  bool number_float(number_float_t /*value*/, const string_t& digits) override {
    return token(digits);
  }
  bool string(string_t& value) override { return token(value); }
  bool binary(binary_t& /*value*/) override { return true; }

  bool start_object(std::size_t /*elements*/) override {
    ++depth_;
    if (depth_ == event_depth()) {
      event_ = {};
      ++events_;
    }
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == event_depth())
      key_ = name;
    else if (depth_ == 1)
      is_in_events_ = name == "traceEvents";
    return true;
  }
  bool end_object() override {
    if (depth_ == event_depth())
      finish_event();
    --depth_;
    return true;
  }
  bool start_array(std::size_t /*elements*/) override {
    if (depth_ == 0)
      is_array_ = is_in_events_ = true;
    ++depth_;
    has_events_ = has_events_ || (is_in_events_ && depth_ <= 2);
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    std::string_view text = error.what();
    if (const auto end = text.find("] "); end != text.npos)
      text.remove_prefix(end + 2);
    constexpr std::size_t kLongest = 200;
    throw Error(fmt::format("{}: {}", path_, text.substr(0, kLongest)));
  }

  bool has_events() const { return has_events_; }

 private:
  struct Event {
    std::string phase = {};
    Annotation annotation = {};
    std::optional<std::string> name = {}, start = {}, duration = {};
  };

  int event_depth() const { return !is_in_events_ ? -1 : is_array_ ? 2 : 3; }

  bool token(const std::string& value) {
    if (depth_ != event_depth())
      return true;
    if (key_ == "ph")
      event_.phase = value;
    else if (key_ == "name")
      event_.name = value;
    else if (key_ == "cat")
      event_.annotation.category = value;
    else if (key_ == "pid")
      event_.annotation.process = value;
    else if (key_ == "tid")
      event_.annotation.thread = value;
    else if (key_ == "ts")
      event_.start = value;
    else if (key_ == "dur")
      event_.duration = value;
    return true;
  }

  [[noreturn]] void fail(std::string_view key, const std::string& what) const {
    throw Error(fmt::format("{}: {}/{}/{}: {}", path_, is_array_ ? "" : "/traceEvents", events_ - 1,
                            key, what));
  }

  Time time(const char* key, const std::optional<std::string>& digits) const {
    if (!digits)
      fail(key, "is missing");
    try {
      return time_from_us_digits(*digits);
    } catch (const Error& error) {
      fail(key, error.what());
    }
  }

  void finish_event() {
    if (event_.phase != "X" || !event_.name || !counts_(*event_.name))
      return;
    event_.annotation.name = *event_.name;
    const Time start = time("ts", event_.start);
    const Time duration = time("dur", event_.duration);
    if (duration < Time::zero())
      fail("dur", "is below 0: time goes backwards");
    event_.annotation.span = {start, start + duration};
    visit_(event_.annotation);
  }

  const std::string& path_;
  const std::function<bool(std::string_view)>& counts_;
  const std::function<void(const Annotation&)>& visit_;
  int depth_ = 0;
  bool is_array_ = false;
  bool is_in_events_ = false;
  bool has_events_ = false;
  std::size_t events_ = 0;
  std::string key_ = {};
  Event event_ = {};
};

[[noreturn]] void refuse(std::string_view digits) {
  constexpr std::size_t kLongest = 40;
  throw Error(fmt::format("expected a time in µs, got '{}'", digits.substr(0, kLongest)));
}

}  // namespace

Time time_from_us_digits(std::string_view digits) {
  const std::string_view all = digits;
  const bool is_negative = digits.starts_with('-');
  if (is_negative)
    digits.remove_prefix(1);
  constexpr std::size_t kMostExponent = 4;
  constexpr int kToNanoseconds = 3;
  int exponent = kToNanoseconds;
  if (const auto e = digits.find_first_of("eE"); e != digits.npos) {
    std::string text(digits.substr(e + 1));
    text.erase(0, text.starts_with('+') ? 1 : 0);
    if (text.empty() || text.size() > kMostExponent ||
        text.find_first_not_of("0123456789", text.starts_with('-') ? 1 : 0) != text.npos)
      refuse(all);
    exponent += std::stoi(text);
    digits = digits.substr(0, e);
  }
  std::string whole(digits.substr(0, digits.find('.')));
  if (const auto point = digits.find('.'); point != digits.npos) {
    whole += digits.substr(point + 1);
    exponent -= static_cast<int>(digits.size() - point - 1);
  }
  if (whole.empty() || whole.find_first_not_of("0123456789") != whole.npos)
    refuse(all);
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  constexpr int kMostDigits = 18;  // what an int64 holds in any case
  const int length = static_cast<int>(whole.size()) + exponent;
  if (whole.empty() || length < 0)
    return Time::zero();
  if (length > kMostDigits + 1)
    refuse(all);
  whole.resize(std::max(whole.size(), static_cast<std::size_t>(length)), '0');
  const bool rounds_up = static_cast<std::size_t>(length) < whole.size() &&
                         whole[static_cast<std::size_t>(length)] >= '5';
  whole.resize(static_cast<std::size_t>(length));
  constexpr std::uint64_t kMost = 4'000'000'000'000'000'000;  // sums of two fit
  const std::uint64_t count = (whole.empty() ? 0 : std::stoull(whole)) + (rounds_up ? 1 : 0);
  if (count > kMost)
    refuse(all);
  return Time(is_negative ? -static_cast<std::int64_t>(count) : static_cast<std::int64_t>(count));
}

void read_annotations(const std::string& path, const std::function<bool(std::string_view)>& counts,
                      const std::function<void(const Annotation&)>& visit) {
  UnpackedFile file(path);
  std::istream stream(&file);
  stream.exceptions(std::ios::badbit);  // so that what the file throws comes through
  EventReader reader(path, counts, visit);
  json::sax_parse(stream, &reader);
  if (!reader.has_events())
    throw Error(fmt::format("{}: expected a trace: an array of events, or \"traceEvents\"", path));
}

}  // namespace bubblescope

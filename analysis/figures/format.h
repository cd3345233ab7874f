// How figures are shown: the output formats, and numbers with their units.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "sim/base/types.h"

namespace bubblescope {

enum class Format : std::uint8_t { Table, Json, Csv, Markdown };

/// Terminal colours, or none.
enum class Color : std::uint8_t { Off, On };

/// How results are asked to be shown.
struct Style {
  Format format = Format::Table;
  Color color = Color::Off;
  /// Long tables are cut and long cells wrapped, for a reader who scrolls.
  bool is_terminal = false;
  /// These keys end a JSON result and say how it was made; null: none do.
  std::shared_ptr<const nlohmann::ordered_json> provenance = nullptr;
  std::vector<std::string> columns = {};  ///< Names of columns, or "all"; empty: the usual ones.
};

/// --columns names none of the columns there are.
class UnknownColumn : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Emphasis : std::uint8_t { None, Strong, Faint };

/// The text between the escape codes of an emphasis.
std::string emphasize(std::string_view text, Emphasis emphasis, Color color);

/// A result of several lines as it may stand on a terminal: of what is not printable, only line
/// breaks and the codes of `emphasize` stay.
std::string on_terminal(std::string_view text);

/// The unit in which times up to `longest` read best; one column keeps one unit.
class TimeUnit {
 public:
  static TimeUnit fit(Time longest);
  /// "12.345 ms"
  std::string format(Time time) const;

 private:
  TimeUnit(double nanoseconds, const char* name) : nanoseconds_(nanoseconds), name_(name) {}
  double nanoseconds_;
  const char* name_;
};

/// 0 where there is no whole.
double ratio(Time part, Time whole);
/// "12.34 %"
std::string format_percent(double fraction);
/// "32 %", "1.4 %", "0.06 %": two digits that count, for a sentence.
std::string short_percent(double fraction);
/// "3.2 GiB"
std::string format_bytes(Bytes bytes);

}  // namespace bubblescope

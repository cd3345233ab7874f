// How figures are shown: the output formats, tables, and numbers with their units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "sim/base/types.h"

namespace bubblescope {

enum class Format : std::uint8_t { Table, Json, Csv, Markdown };

/// Terminal colours, or none.
enum class Color : std::uint8_t { Off, On };

struct Column {
  std::string header;  ///< May have a line break, for narrow columns of text.
  enum class Align : std::uint8_t { Left, Right } align = Align::Right;
};

enum class Emphasis : std::uint8_t { None, Strong, Faint };

struct Table {
  struct Row {
    std::vector<std::string> cells;  ///< One a column.
    Emphasis emphasis = Emphasis::None;
  };
  std::vector<Column> columns;
  std::vector<Row> rows = {};
};

/// Aligned columns under their headers, two spaces apart; headers of two lines stand on the last.
/// A '?' stands for each character of a cell that is not printable.
std::string to_text(const Table& table, Color color);
std::string to_markdown(const Table& table);

/// RFC 4180 with a header of the keys of the first of `rows`, which are flat objects with the same
/// keys; null is an empty field, and a '?' stands for each character that is not printable.
std::string to_csv(const std::vector<nlohmann::ordered_json>& rows);

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

/// "12.34 %"
std::string format_percent(double fraction);
/// "3.2 GiB"
std::string format_bytes(Bytes bytes);

}  // namespace bubblescope

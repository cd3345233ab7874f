// Rows of figures by their keys, and the columns in which they are shown.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "analysis/figures/format.h"

/// Times are numbers of nanoseconds in JSON, and what is not there is null.
template <>
struct nlohmann::adl_serializer<bubblescope::Time> {
  static void to_json(ordered_json& json, bubblescope::Time time) { json = time.count(); }
};
template <typename T>
struct nlohmann::adl_serializer<std::optional<T>> {
  static void to_json(ordered_json& json, const std::optional<T>& value) {
    json = value ? ordered_json(*value) : ordered_json();
  }
};

namespace bubblescope {

using Json = nlohmann::ordered_json;
/// Flat objects with the same keys.
using Rows = std::vector<Json>;

/// `figure` of what there is, else null.
template <typename T, typename Figure>
Json or_null(const std::optional<T>& value, const Figure& figure) {
  return value ? Json(figure(*value)) : Json();
}

/// Shows a value that is not null. A column of words without a cell stands on the left.
using Cell = std::function<std::string(const Json& value)>;
std::string percent(const Json& value);         ///< "12.34 %"
std::string decimals(const Json& value);        ///< "1.234"
std::string signed_percent(const Json& value);  ///< "+1.23 %"
std::string signed_points(const Json& value);   ///< "+1.23 points"
std::string as_it_is(const Json& value);        ///< Words, on the right.

enum class Show : std::uint8_t {
  Usual,      ///< Unless all rows have the same.
  Always,     ///< Unless others are asked for.
  IfRoom,     ///< As Usual; left out of a table that is too wide, the first of them first.
  OnRequest,  ///< If it is asked for.
};

struct Column {
  std::string key;           ///< In the rows. "_ns" ends that of a time, "_bytes" that of a size.
  std::string heading = {};  ///< Empty: the words of the key.
  Cell cell = {};            ///< Empty: by the key's unit, else as the value is.
  Show show = Show::Usual;

  std::string name() const;  ///< "step_time": what --columns takes, as it takes the key.
  std::string title() const;
};

struct Table {
  std::string noun = {};  ///< "rank": what a row is.
  std::vector<Column> columns = {};
  Rows rows = {};
  std::vector<Emphasis> emphasis = {};  ///< [row], as far as it goes.
};

/// Aligned columns under their titles, two blanks apart; as wide as a terminal at most, if columns
/// may be left out. What all rows have alike stands above them. Without a unit times are shown in
/// that of the longest.
std::string to_text(const Table& table, const Style& style, const std::optional<TimeUnit>& unit);
std::string to_markdown(const Table& table, const Style& style,
                        const std::optional<TimeUnit>& unit);
/// RFC 4180 with a header of the keys of the first row; null is an empty field, and a '?' stands
/// for each character that is not printable.
std::string to_csv(const Rows& rows);

/// Breaks a line at blanks so that no part of it is wider than a terminal; all but the first are
/// indented.
std::string wrapped(std::string line, std::size_t indent);

/// The value in words, a time in `unit`.
std::string shown(const Column& column, const Json& value, const TimeUnit& unit);
/// Picks the columns that `names` choose; where they choose none, all but those shown on request.
std::vector<Column> chosen(const std::vector<Column>& columns,
                           const std::vector<std::string>& names);
/// Whether one of `names` means the column.
bool is_chosen(const Column& column, const std::vector<std::string>& names);
/// The unit for the times of `columns`.
TimeUnit unit_of(const std::vector<Column>& columns, const Rows& rows);

}  // namespace bubblescope

#include "analysis/views/table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "sim/base/printable.h"

namespace bubblescope {
namespace {

/// A table in words, less what was not asked for and what all rows have alike.
struct Grid {
  struct Line {
    std::string title;
    bool is_left = false;
    Show show = Show::Usual;
    std::vector<std::string> cells = {};  ///< [row]
  };
  std::string noun = {};
  std::vector<Line> columns = {};
  std::vector<Emphasis> emphasis = {};  ///< [row]
  std::string facts = {};               ///< Lines above, of what all rows have alike.
};

constexpr std::size_t kWidth = 120;     // of a terminal
constexpr std::size_t kRowsShown = 40;  // of a table that a terminal shows whole
constexpr std::size_t kRowsOfEnd = 12;

/// Columns that UTF-8 text takes on a terminal; all our signs are one wide.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

bool is_time(const Column& column) {
  return column.key.ends_with("_ns");
}

Time time_of(const Json& value) {
  return Time(value.is_number_float() ? std::llround(value.get<double>())
                                      : value.get<std::int64_t>());
}

bool has_words(const Column& column, const Rows& rows) {
  return !column.cell && !is_time(column) &&
         std::all_of(rows.begin(), rows.end(), [&](const Json& row) {
           const Json& value = row.at(column.key);
           return value.is_null() || value.is_string() || value.is_boolean();
         });
}

bool is_same(const std::vector<std::string>& cells) {
  return std::all_of(cells.begin(), cells.end(),
                     [&](const std::string& cell) { return cell == cells.front(); });
}

std::size_t widest(const std::vector<std::string>& cells) {
  std::size_t most = 0;
  for (const std::string& cell : cells)
    most = std::max(most, width(cell));
  return most;
}

/// The upper and lower line of a title, broken at the blank nearest to its middle where it is long
/// and wider than the cells.
std::pair<std::string, std::string> title_lines(const std::string& title, std::size_t cells) {
  std::size_t best = std::string::npos;
  const auto off = [&](std::size_t place) {
    return std::max(2 * place, title.size()) - std::min(2 * place, title.size());
  };
  for (std::size_t at = title.find(' '); at != title.npos; at = title.find(' ', at + 1))
    if (best == title.npos || off(at) < off(best))
      best = at;
  constexpr std::size_t kShort = 9;
  if (width(title) <= std::max(cells, kShort) || best == title.npos)
    return {"", title};
  return {title.substr(0, best), title.substr(best + 1)};
}

/// A column whose cells, a title of two lines among them, are padded to one width.
struct Padded {
  std::vector<std::string> cells;
  std::size_t width;

  explicit Padded(const Grid::Line& column) {
    auto [upper, lower] = title_lines(column.title, widest(column.cells));
    cells = {std::move(upper), std::move(lower)};
    cells.insert(cells.end(), column.cells.begin(), column.cells.end());
    width = widest(cells);
    for (std::string& cell : cells)
      cell.insert(column.is_left ? cell.size() : 0,
                  std::string(width - bubblescope::width(cell), ' '));
  }
};

/// Columns in which all rows have the same become facts, if they say anything.
Grid grid_of(const Table& table, const Style& style, const std::optional<TimeUnit>& given) {
  std::vector<Column> columns = chosen(table.columns, style.columns);
  if (columns.front().key != table.columns.front().key)
    columns.insert(columns.begin(), table.columns.front());
  const TimeUnit unit = given ? *given : unit_of(columns, table.rows);
  Grid grid{.noun = table.noun, .emphasis = table.emphasis};
  grid.emphasis.resize(table.rows.size());
  for (const Column& column : columns) {
    Grid::Line line{printable(column.title()), has_words(column, table.rows), column.show};
    line.cells.reserve(table.rows.size());
    for (const Json& row : table.rows)
      line.cells.push_back(shown(column, row.at(column.key), unit));
    const Json& value = table.rows.front().at(column.key);
    const bool is_silent = value.is_null() || value == 0 || value == Json(std::string());
    const bool is_alike = &column != &columns.front() && column.show != Show::Always &&
                          !table.noun.empty() && is_same(line.cells);
    if (!is_alike || (line.cells.size() == 1 && !is_silent))
      grid.columns.push_back(std::move(line));
    else if (!is_silent)
      grid.facts += (grid.facts.empty() ? "" : ", ") + line.title + " " + line.cells.front();
  }
  if (!grid.facts.empty()) {
    grid.facts = fmt::format("all {}s: {}\n", grid.noun, grid.facts);
    if (grid.columns.size() == 1)
      grid.columns.clear();
  }
  return grid;
}

/// Leaves the middle out, and gives how many rows that were.
std::size_t cut(Grid& grid) {
  if (grid.emphasis.size() <= kRowsShown)
    return 0;
  const auto erase = [](auto& rows) {
    rows.erase(rows.begin() + kRowsOfEnd, rows.end() - kRowsOfEnd);
  };
  const std::size_t count = grid.emphasis.size() - 2 * kRowsOfEnd;
  for (Grid::Line& column : grid.columns)
    erase(column.cells);
  erase(grid.emphasis);
  return count;
}

/// Leaves out columns that need not be there until the others fit.
std::vector<Padded> fitted(Grid& grid) {
  std::string left_out;
  for (;;) {
    std::vector<Padded> padded(grid.columns.begin(), grid.columns.end());
    std::size_t total = 0;
    for (const Padded& column : padded)
      total += column.width + 2;
    const auto last = std::find_if(grid.columns.begin(), grid.columns.end(),
                                   [](const auto& line) { return line.show == Show::IfRoom; });
    if (total <= kWidth + 2 || last == grid.columns.end()) {
      if (!left_out.empty())
        grid.facts += "too wide, so left out:" + left_out + " (--columns shows them)\n";
      return padded;
    }
    left_out += (left_out.empty() ? " " : ", ") + last->title;
    grid.columns.erase(last);
  }
}

std::string csv_field(const Json& value) {
  if (value.is_null())
    return "";
  std::string text = printable(value.is_string() ? value.get<std::string>() : value.dump());
  if (text.find_first_of(",\"") == std::string::npos)
    return text;
  std::string quoted = "\"";
  for (const char c : text)
    quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

/// Two decimals with a sign; what rounds to 0 is +0.00.
std::string with_sign(double number) {
  return fmt::format("{:+.2f}", std::round(number * 100) / 100 + 0.0);
}

}  // namespace

std::string percent(const Json& value) {
  return format_percent(value.get<double>());
}

std::string decimals(const Json& value) {
  return fmt::format("{:.3f}", value.get<double>());
}

std::string signed_percent(const Json& value) {
  return with_sign(100 * value.get<double>()) + " %";
}

std::string signed_points(const Json& value) {
  return with_sign(value.get<double>()) + " points";
}

std::string as_it_is(const Json& value) {
  return value.dump();
}

std::string Column::name() const {
  for (const std::string_view unit : {"_ns", "_bytes"})
    if (key.ends_with(unit))
      return key.substr(0, key.size() - unit.size());
  return key;
}

std::string Column::title() const {
  std::string words = heading.empty() ? name() : heading;
  if (heading.empty())
    std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

std::string shown(const Column& column, const Json& value, const TimeUnit& unit) {
  const bool is_size = column.key.ends_with("_bytes");
  if (value.is_null())
    return is_size ? "unknown" : "";
  if (value.is_string())
    return printable(value.get<std::string>());
  if (column.cell)
    return column.cell(value);
  if (value.is_boolean())
    return value.get<bool>() ? "yes" : "no";
  if (is_time(column))
    return unit.format(time_of(value));
  if (is_size)
    return format_bytes(value.get<Bytes>());
  return value.is_number_float() ? fmt::format("{:g}", value.get<double>()) : value.dump();
}

bool is_chosen(const Column& column, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == "all" || name == column.key || name == column.name();
  });
}

std::vector<Column> chosen(const std::vector<Column>& columns,
                           const std::vector<std::string>& names) {
  const bool is_asked = std::any_of(columns.begin(), columns.end(),
                                    [&](const Column& column) { return is_chosen(column, names); });
  std::vector<Column> result;
  for (const Column& column : columns)
    if (is_asked ? is_chosen(column, names) : column.show != Show::OnRequest) {
      result.push_back(column);
      if (is_asked)
        result.back().show = Show::Always;
    }
  return result;
}

TimeUnit unit_of(const std::vector<Column>& columns, const Rows& rows) {
  Time longest{};
  for (const Column& column : columns)
    for (const Json& row : rows)
      if (is_time(column) && row.at(column.key).is_number())
        longest = std::max(longest, time_of(row.at(column.key)));
  return TimeUnit::fit(longest);
}

std::string to_text(const Table& table, const Style& style, const std::optional<TimeUnit>& unit) {
  Grid grid = grid_of(table, style, unit);
  const std::size_t left_out = style.is_terminal ? cut(grid) : 0;
  const std::vector<Padded> columns = fitted(grid);
  std::string text = grid.facts;
  if (!columns.empty() && !text.empty())
    text += "\n";
  for (std::size_t row = 0; !columns.empty() && row < columns.front().cells.size(); ++row) {
    if (left_out > 0 && row == kRowsOfEnd + 2)
      text += emphasize(
          fmt::format("… {} more {}s …\n", left_out, grid.noun.empty() ? "row" : grid.noun),
          Emphasis::Faint, style.color);
    std::string line;
    std::size_t indent = 0;
    for (const Padded& column : columns) {
      indent = width(line) + (line.empty() ? 0 : 2);
      line += (line.empty() ? "" : "  ") + column.cells[row];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (style.is_terminal && grid.columns.back().is_left)
      line = wrapped(line, indent);
    const Emphasis emphasis = row < 2 ? Emphasis::Faint : grid.emphasis[row - 2];
    if (row != 0 || !line.empty())
      text += emphasize(line, emphasis, style.color) + "\n";
  }
  return text;
}

std::string to_markdown(const Table& table, const Style& style,
                        const std::optional<TimeUnit>& unit) {
  const Grid grid = grid_of(table, style, unit);
  std::string text = grid.facts;
  if (grid.columns.empty())
    return text;
  const auto cell = [&](const std::string& words) {
    text += " ";
    for (const char c : words)
      text += c == '|' ? "\\|" : std::string(1, c);
    text += words.empty() ? "|" : " |";
  };
  text += text.empty() ? "|" : "\n|";
  for (const Grid::Line& column : grid.columns)
    cell(column.title);
  text += "\n|";
  for (const Grid::Line& column : grid.columns)
    text += column.is_left ? " --- |" : " ---: |";
  for (std::size_t row = 0; row < grid.emphasis.size(); ++row) {
    text += "\n|";
    for (const Grid::Line& column : grid.columns)
      cell(column.cells[row]);
  }
  return text + "\n";
}

std::string wrapped(std::string line, std::size_t indent) {
  std::string text;
  while (width(line) > kWidth && indent < kWidth / 2) {
    std::size_t end = indent;
    for (std::size_t at = line.find(' ', indent);
         at != line.npos && width(std::string_view(line).substr(0, at)) <= kWidth;
         at = line.find(' ', at + 1))
      end = at;
    if (end <= indent)
      break;
    text += line.substr(0, end) + "\n";
    line = std::string(indent, ' ') + line.substr(end + 1);
  }
  return text + line;
}

std::string to_csv(const Rows& rows) {
  std::string text;
  const auto line = [&](const Json& row, auto&& field) {
    bool is_first = true;
    for (const auto& [key, value] : row.items()) {
      text += (is_first ? "" : ",") + field(key, value);
      is_first = false;
    }
    text += "\r\n";
  };
  if (!rows.empty())
    line(rows.front(), [](const std::string& key, const Json&) { return csv_field(key); });
  for (const Json& row : rows)
    line(row, [](const std::string&, const Json& value) { return csv_field(value); });
  return text;
}

}  // namespace bubblescope

#include "analysis/figures/format.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/printable.h"

namespace bubblescope {
namespace {

/// Columns that UTF-8 text takes on a terminal; all our signs are one wide.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

std::string padded(const std::string& text, std::size_t to, Column::Align align) {
  const std::string space(to - std::min(to, width(text)), ' ');
  return align == Column::Align::Left ? text + space : space + text;
}

/// The upper and lower line of a header; one line is the lower.
std::pair<std::string, std::string> header_lines(const std::string& header) {
  const auto end = header.find('\n');
  if (end == std::string::npos)
    return {"", header};
  return {header.substr(0, end), header.substr(end + 1)};
}

std::string csv_field(const nlohmann::ordered_json& value) {
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

/// Escapes the characters that would end a cell.
std::string markdown_cell(std::string_view text) {
  std::string cell;
  for (const char c : printable(text))
    cell += c == '|' ? "\\|" : std::string(1, c);
  return cell;
}

constexpr std::string_view kStrong = "\x1b[1;32m";
constexpr std::string_view kFaint = "\x1b[2m";
constexpr std::string_view kPlain = "\x1b[0m";

}  // namespace

std::string emphasize(std::string_view text, Emphasis emphasis, Color color) {
  if (color == Color::Off || emphasis == Emphasis::None)
    return std::string(text);
  return fmt::format("{}{}{}", emphasis == Emphasis::Strong ? kStrong : kFaint, text, kPlain);
}

std::string on_terminal(std::string_view text) {
  return printable(text, [](std::string_view rest) {
    for (const std::string_view kept :
         {std::string_view("\n"), std::string_view("\r\n"), kStrong, kFaint, kPlain})
      if (rest.starts_with(kept))
        return kept.size();
    return std::size_t{0};
  });
}

std::string to_text(const Table& table, Color color) {
  std::vector<Table::Row> lines(2, Table::Row{{}, Emphasis::Faint});
  for (const Column& column : table.columns) {
    const auto [upper, lower] = header_lines(column.header);
    lines[0].cells.push_back(upper);
    lines[1].cells.push_back(lower);
  }
  const auto& upper = lines[0].cells;
  if (std::all_of(upper.begin(), upper.end(), [](const auto& cell) { return cell.empty(); }))
    lines.erase(lines.begin());
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::vector<std::size_t> widths(table.columns.size());
  for (Table::Row& line : lines)
    for (std::size_t i = 0; i < widths.size(); ++i) {
      line.cells[i] = printable(line.cells[i]);
      widths[i] = std::max(widths[i], width(line.cells[i]));
    }
  std::string text;
  for (const Table::Row& line : lines) {
    std::string padded_line;
    for (std::size_t i = 0; i < widths.size(); ++i)
      padded_line +=
          (i == 0 ? "" : "  ") + padded(line.cells[i], widths[i], table.columns[i].align);
    padded_line.erase(padded_line.find_last_not_of(' ') + 1);
    text += emphasize(padded_line, line.emphasis, color) + "\n";
  }
  return text;
}

std::string to_markdown(const Table& table) {
  std::string head = "|";
  std::string rule = "|";
  for (const Column& column : table.columns) {
    const auto [upper, lower] = header_lines(column.header);
    head += fmt::format(" {}{}{} |", printable(upper), upper.empty() ? "" : " ", printable(lower));
    rule += column.align == Column::Align::Left ? " --- |" : " ---: |";
  }
  std::string text = head + "\n" + rule + "\n";
  for (const Table::Row& row : table.rows) {
    text += "|";
    for (const std::string& cell : row.cells)
      text += fmt::format(" {} |", markdown_cell(cell));
    text += "\n";
  }
  return text;
}

std::string to_csv(const std::vector<nlohmann::ordered_json>& rows) {
  std::string text;
  if (rows.empty())
    return text;
  const auto line = [&](const nlohmann::ordered_json& row, auto&& field) {
    bool first = true;
    for (const auto& [key, value] : row.items()) {
      text += (first ? "" : ",") + field(key, value);
      first = false;
    }
    text += "\r\n";
  };
  line(rows.front(), [](const std::string& key, const auto&) { return csv_field(key); });
  for (const auto& row : rows)
    line(row, [](const std::string&, const auto& value) { return csv_field(value); });
  return text;
}

TimeUnit TimeUnit::fit(Time longest) {
  const auto nanoseconds = longest.count();
  if (nanoseconds >= 10'000'000'000)
    return {1e9, "s"};
  if (nanoseconds >= 10'000'000)
    return {1e6, "ms"};
  if (nanoseconds >= 10'000)
    return {1e3, "µs"};
  return {1, "ns"};
}

std::string TimeUnit::format(Time time) const {
  const double value = static_cast<double>(time.count()) / nanoseconds_;
  return nanoseconds_ == 1 ? fmt::format("{} {}", time.count(), name_)
                           : fmt::format("{:.3f} {}", value, name_);
}

std::string format_percent(double fraction) {
  return fmt::format("{:.2f} %", fraction * 100);
}

std::string format_bytes(Bytes bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; std::abs(value) >= 1023.95 && unit + 1 < std::size(kUnits); ++unit)
    value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace bubblescope

#include "analysis/format.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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

std::string csv_field(const nlohmann::ordered_json& value) {
  if (value.is_null())
    return "";
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find_first_of(",\"\r\n") == std::string::npos)
    return text;
  std::string quoted = "\"";
  for (const char c : text)
    quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

}  // namespace

std::string emphasize(std::string_view text, Emphasis emphasis, Color color) {
  if (color == Color::Off || emphasis == Emphasis::None)
    return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", emphasis == Emphasis::Strong ? "1;32" : "2", text);
}

std::string to_text(const Table& table, Color color) {
  std::vector<std::size_t> widths;
  for (const Column& column : table.columns)
    widths.push_back(width(column.header));
  for (const Table::Row& row : table.rows)
    for (std::size_t i = 0; i < widths.size(); ++i)
      widths[i] = std::max(widths[i], width(row.cells[i]));
  const auto line = [&](auto&& cell, Emphasis emphasis) {
    std::string text;
    for (std::size_t i = 0; i < widths.size(); ++i)
      text += (i == 0 ? "" : "  ") + padded(cell(i), widths[i], table.columns[i].align);
    text.erase(text.find_last_not_of(' ') + 1);
    return emphasize(text, emphasis, color) + "\n";
  };
  std::string text = line([&](std::size_t i) { return table.columns[i].header; }, Emphasis::Faint);
  for (const Table::Row& row : table.rows)
    text += line([&](std::size_t i) { return row.cells[i]; }, row.emphasis);
  return text;
}

std::string to_markdown(const Table& table) {
  std::string head = "|";
  std::string rule = "|";
  for (const Column& column : table.columns) {
    head += fmt::format(" {} |", column.header);
    rule += column.align == Column::Align::Left ? " --- |" : " ---: |";
  }
  std::string text = head + "\n" + rule + "\n";
  for (const Table::Row& row : table.rows) {
    text += "|";
    for (const std::string& cell : row.cells)
      text += fmt::format(" {} |", cell);
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

std::string format_percent(double fraction) { return fmt::format("{:.2f} %", fraction * 100); }

std::string format_bytes(Bytes bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; std::abs(value) >= 1024 && unit + 1 < std::size(kUnits); ++unit)
    value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace bubblescope

#include "backend_cuda/probe/report.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <unistd.h>

namespace bubblescope::gpu {
namespace {

constexpr int kFactDecimals = 3;

std::string quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string json = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (byte < 0x20) {
      json += "\\u00";
      json += kDigits[byte >> 4];
      json += kDigits[byte & 15];
    } else {
      json += c;
    }
  }
  return json + '"';
}

/// How a cell is shown; in JSON its text is quoted.
std::string show(const Cell& cell, int decimals, bool json) {
  if (const auto* truth = std::get_if<bool>(&cell))
    return json ? (*truth ? "true" : "false") : (*truth ? "yes" : "no");
  if (const auto* whole = std::get_if<std::int64_t>(&cell))
    return std::to_string(*whole);
  if (const auto* number = std::get_if<double>(&cell); number && std::isfinite(*number))
    return fixed(*number, decimals);
  if (const auto* text = std::get_if<std::string>(&cell))
    return json ? quoted(*text) : *text;
  return json ? "null" : "-";
}

bool is_text(const Cell& cell) {
  return std::holds_alternative<std::string>(cell);
}

std::string row_json(const Table& table, const std::vector<Cell>& row) {
  std::string json = "{";
  for (std::size_t i = 0; i < row.size(); ++i) {
    const Column& column = table.columns.at(i);
    json += (i == 0 ? "" : ", ") + quoted(column.key) + ": " + show(row[i], column.decimals, true);
  }
  return json + "}";
}

std::string table_json(const Table& table) {
  std::string json = "{\n      \"title\": " + quoted(table.title) + ",\n      \"rows\": [";
  for (std::size_t i = 0; i < table.rows.size(); ++i)
    json += (i == 0 ? "\n        " : ",\n        ") + row_json(table, table.rows[i]);
  json += table.rows.empty() ? "],\n" : "\n      ],\n";
  json += "      \"notes\": [";
  for (std::size_t i = 0; i < table.notes.size(); ++i)
    json += (i == 0 ? "\n        " : ",\n        ") + quoted(table.notes[i]);
  return json + (table.notes.empty() ? "]\n    }" : "\n      ]\n    }");
}

[[noreturn]] void fail_to_write(const std::string& path) {
  throw std::runtime_error("cannot write " + path + ": " + std::strerror(errno));
}

}  // namespace

std::vector<Column> with_spread(std::vector<Column> columns, const std::string& unit,
                                int decimals) {
  columns.push_back({"n"});
  for (const char* part : {"min_", "p50_", "p95_", "max_"})
    columns.push_back({part + unit, decimals});
  return columns;
}

std::vector<Cell> with_spread(std::vector<Cell> cells, const Spread& spread) {
  cells.emplace_back(static_cast<std::int64_t>(spread.count));
  for (const double value : {spread.min, spread.p50, spread.p95, spread.max})
    cells.emplace_back(value);
  return cells;
}

std::string fixed(double value, int decimals) {
  std::array<char, 400> digits{};  // the largest double has 309 before the point
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                          std::chars_format::fixed, decimals);
  return error == std::errc() ? std::string(digits.data(), end) : "?";
}

std::string to_text(const Table& table) {
  std::vector<std::vector<std::string>> lines(1);
  std::vector<bool> left(table.columns.size());
  for (const Column& column : table.columns) {
    lines[0].push_back(column.key);
    std::replace(lines[0].back().begin(), lines[0].back().end(), '_', ' ');
  }
  for (const std::vector<Cell>& row : table.rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) {
      line.push_back(show(row[i], table.columns.at(i).decimals, false));
      left[i] = left[i] || is_text(row[i]);
    }
  }
  std::string text = table.title + "\n";
  for (const std::vector<std::string>& line : table.rows.empty() ? decltype(lines){} : lines) {
    std::string shown;
    for (std::size_t i = 0; i < line.size(); ++i) {
      std::size_t width = 0;
      for (const std::vector<std::string>& other : lines)
        width = std::max(width, other.at(i).size());
      const std::string padding(width - line[i].size(), ' ');
      shown += "  " + (left[i] ? line[i] + padding : padding + line[i]);
    }
    shown.erase(shown.find_last_not_of(' ') + 1);
    text += shown + "\n";
  }
  for (const std::string& note : table.notes)
    text += "  note: " + note + "\n";
  return text;
}

std::string to_text(const std::vector<Fact>& facts) {
  std::size_t width = 0;
  for (const Fact& fact : facts)
    width = std::max(width, fact.key.size());
  std::string text;
  for (const Fact& fact : facts) {
    std::string key = fact.key;
    std::replace(key.begin(), key.end(), '_', ' ');
    text += "  " + key + std::string(width - key.size() + 2, ' ') +
            show(fact.value, kFactDecimals, false) + "\n";
  }
  return text;
}

std::string to_json(const Report& report) {
  std::string json = "{\n  \"format\": \"bubblescope-gpu-probe/1\",\n  \"facts\": {";
  for (std::size_t i = 0; i < report.facts.size(); ++i)
    json += (i == 0 ? "\n    " : ",\n    ") + quoted(report.facts[i].key) + ": " +
            show(report.facts[i].value, kFactDecimals, true);
  json += "\n  },\n  \"measurements\": {";
  for (std::size_t i = 0; i < report.tables.size(); ++i)
    json += (i == 0 ? "\n    " : ",\n    ") + quoted(report.tables[i].name) + ": " +
            table_json(report.tables[i]);
  return json + "\n  }\n}\n";
}

std::string file_name_of(std::string_view device) {
  std::string name;
  for (const char c : device) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  name.erase(name.find_last_not_of('-') + 1);
  return name.empty() ? "unknown" : name;
}

void write_file(const std::string& path, std::string_view text) {
  const std::string beside = path + ".part-" + std::to_string(getpid());
  constexpr mode_t kMode = 0666;  // less the umask
  const int file = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode);
  if (file < 0)
    fail_to_write(path);
  bool good = true;
  while (good && !text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<std::size_t>(written));
    else
      good = errno == EINTR;
  }
  good = good && fsync(file) == 0;
  good = close(file) == 0 && good;
  if (good && rename(beside.c_str(), path.c_str()) == 0)
    return;
  const int reason = errno;
  unlink(beside.c_str());
  errno = reason;
  fail_to_write(path);
}

}  // namespace bubblescope::gpu

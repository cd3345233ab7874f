// What the probe found, as aligned tables for people and as JSON for programs.
//
//     kernel gaps: end of one kernel to start of the next
//     shape  launched by  blocks    n  min us  p50 us  p95 us  max us
//     chain  streams           1  504   1.056   1.088   1.184   2.016
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "backend_cuda/probe/statistics.h"

namespace bubblescope::gpu {

/// A value of a table or a fact; std::monostate is one that does not apply: "-", and null in JSON.
using Cell = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

struct Column {
  std::string key;   ///< The key in JSON, with its unit; with spaces it is the heading.
  int decimals = 0;  ///< Of numbers that are not whole.
};

struct Table {
  std::string name;   ///< The key in JSON.
  std::string title;  ///< What was measured, in words.
  std::vector<Column> columns = {};
  std::vector<std::vector<Cell>> rows = {};
  std::vector<std::string> notes = {};
};

struct Fact {
  std::string key;
  Cell value;
};

struct Report {
  std::vector<Fact> facts = {};
  std::vector<Table> tables = {};
};

/// "n", "min_<unit>", "p50_<unit>", "p95_<unit>", "max_<unit>" after `columns`.
std::vector<Column> with_spread(std::vector<Column> columns, const std::string& unit, int decimals);
/// The cells for those columns after `cells`.
std::vector<Cell> with_spread(std::vector<Cell> cells, const Spread& spread);

/// 3.14159 with two decimals is "3.14", in any locale.
std::string fixed(double value, int decimals);

std::string to_text(const Table& table);
std::string to_text(const std::vector<Fact>& facts);
/// One object: format, facts, and an object a table with title, rows and notes. Ends in a newline.
std::string to_json(const Report& report);

/// "NVIDIA H200" is "nvidia-h200".
std::string file_name_of(std::string_view device);

/// Writes a file that is complete or absent: beside, synced, renamed. Throws std::runtime_error.
void write_file(const std::string& path, std::string_view text);

}  // namespace bubblescope::gpu

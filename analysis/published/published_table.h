// A table from a paper or a README, with what we get for each of its figures: data/published.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace bubblescope {

struct PublishedColumn {
  std::string name;  ///< "zb-2p"
  std::string unit;  ///< "%": the values are fractions. Else "GB", "µs", "× …" or nothing.
  int digits = 0;    ///< Decimals of the published values.
  std::string reason = {};  ///< Why ours differ; empty where none may.
};

struct PublishedFigure {
  double published = 0;
  double recorded = 0;  ///< What ours is known to be, with two decimals more than is published.
  double ours = 0;      ///< Set by `reproduce`.
};

struct PublishedRow {
  std::string name;
  nlohmann::json setting = {};  ///< What it is computed at, an object; the table knows the keys.
  std::string reason = {};      ///< Why ours differ in this row, instead of the column's reason.
  std::vector<PublishedFigure> figures = {};  ///< [column]
};

struct PublishedTable {
  std::string name;  ///< "zero-bubble-table5": what computes it.
  std::string file;  ///< For error messages.
  std::string title;
  std::string source;
  std::string definition;  ///< What the figures are.
  std::string ours;        ///< What ours are computed from.
  std::vector<PublishedColumn> columns = {};
  std::vector<PublishedRow> rows = {};
};

/// Reads the text of a table, format "bubblescope-published/1"; `file` names it in errors. Throws
/// Error with the JSON path.
PublishedTable parse_published(std::string_view text, const std::string& file);

/// `value` with so many decimals, halves away from zero.
double rounded(double value, int digits);

/// Decimals in which ours are recorded.
inline int recorded_digits(const PublishedColumn& column) {
  return column.digits + 2;
}

/// Ours, with the decimals that are published, is what is published.
bool agrees(const PublishedFigure& figure, const PublishedColumn& column);
/// Ours is no longer what is recorded.
bool has_moved(const PublishedFigure& figure, const PublishedColumn& column);
/// Why a figure of `row` and `column` may differ; empty where it must not.
const std::string& reason(const PublishedRow& row, const PublishedColumn& column);

}  // namespace bubblescope

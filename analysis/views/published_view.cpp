#include "analysis/views/published_view.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using Align = Column::Align;
using nlohmann::ordered_json;

bool is_percent(const PublishedColumn& column) {
  return column.unit == "%";
}

/// A value of the column with `more` decimals than are published, as it is shown.
std::string number(double value, const PublishedColumn& column, int more = 0) {
  return is_percent(column)
             ? fmt::format("{:.{}f}", 100 * value, std::max(0, column.digits - 2 + more))
             : fmt::format("{:.{}f}", value, column.digits + more);
}

std::string with_unit(const std::string& text, const std::string& unit) {
  return unit.empty() ? text : text + " " + unit;
}

double deviation(const PublishedFigure& figure) {
  return figure.ours - figure.published;
}

/// A difference of two values, with its sign and one decimal more than is published.
std::string difference(double value, const PublishedColumn& column) {
  const std::string text = number(value, column, is_percent(column) ? 0 : 1);
  const bool is_zero = text.find_first_of("123456789") == std::string::npos;
  if (is_zero)
    return text.starts_with('-') ? text.substr(1) : text;
  return value > 0 ? "+" + text : text;
}

Table table_of(const PublishedTable& table) {
  Table out{{{"", Align::Left}}};
  for (const PublishedColumn& column : table.columns)
    out.columns.push_back({with_unit(column.name, column.unit)});
  for (const PublishedRow& row : table.rows) {
    Table::Row cells{{row.name}};
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const PublishedFigure& figure = row.figures[i];
      cells.cells.push_back(fmt::format("{} ({})", number(figure.ours, table.columns[i]),
                                        number(figure.published, table.columns[i])));
      if (has_moved(figure, table.columns[i]))
        cells.emphasis = Emphasis::Strong;
    }
    out.rows.push_back(std::move(cells));
  }
  return out;
}

/// Figures of one column that differ and have one reason.
struct Difference {
  std::string reason;
  std::size_t count = 0;
  double least = 0;
  double most = 0;
  std::string rows = {};  ///< Their names.
};

std::vector<Difference> differences(const PublishedTable& table, std::size_t column) {
  std::vector<Difference> found;
  for (const PublishedRow& row : table.rows) {
    const PublishedFigure& figure = row.figures[column];
    if (agrees(figure, table.columns[column]))
      continue;
    const std::string& why = reason(row, table.columns[column]);
    const double by = deviation(figure);
    auto same = std::find_if(found.begin(), found.end(),
                             [&](const Difference& each) { return each.reason == why; });
    if (same == found.end())
      same = found.insert(found.end(), {why, 0, by, by});
    same->rows += (same->count++ == 0 ? "" : "; ") + row.name;
    same->least = std::min(same->least, by);
    same->most = std::max(same->most, by);
  }
  return found;
}

/// What is told of a column, a line for each reason.
std::vector<std::string> column_lines(const PublishedTable& table, std::size_t index) {
  const PublishedColumn& column = table.columns[index];
  const std::size_t rows = table.rows.size();
  const auto found = differences(table, index);
  if (found.empty())
    return {fmt::format("{}: {} agree{}", column.name,
                        rows == 1 ? "the one" : fmt::format("all {}", rows), rows == 1 ? "s" : "")};
  std::vector<std::string> lines;
  for (const Difference& each : found) {
    const std::string least = difference(each.least, column);
    const std::string most = difference(each.most, column);
    const std::string unit = is_percent(column) ? "points" : column.unit;
    const std::string by =
        with_unit(least == most ? most : fmt::format("{} to {}", least, most), unit);
    const bool few = each.count < rows && each.count <= 4;
    lines.push_back(fmt::format("{}: {} of {} differ{}{}, by {}: {}", column.name, each.count, rows,
                                each.count == 1 ? "s" : "", few ? " (" + each.rows + ")" : "", by,
                                each.reason.empty() ? "no reason is known" : each.reason));
  }
  return lines;
}

std::vector<std::string> moved_lines(const PublishedTable& table) {
  std::vector<std::string> lines;
  for (const PublishedRow& row : table.rows)
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const PublishedColumn& column = table.columns[i];
      if (has_moved(row.figures[i], column))
        lines.push_back(
            fmt::format("moved: {}, {}: {}, recorded as {}", row.name, column.name,
                        with_unit(number(row.figures[i].ours, column, 2), column.unit),
                        with_unit(number(row.figures[i].recorded, column, 2), column.unit)));
    }
  return lines;
}

void add_table(Page& page, const PublishedTable& table) {
  page.title(fmt::format("{}: {}, ours (theirs)", table.name, table.title), Emphasis::None);
  page.table(table_of(table));
  page.blank_line();
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    for (const std::string& line : column_lines(table, i))
      page.point(line);
  for (const std::string& line : moved_lines(table))
    page.point(line, Emphasis::Strong);
  for (const auto& [what, words] :
       {std::pair("theirs", &table.source), {"figures", &table.definition}, {"ours", &table.ours}})
    page.point(fmt::format("{}: {}", what, *words), Emphasis::Faint);
  page.blank_line();
}

/// One object a figure; in a CSV they name their table.
ordered_json figure_json(const PublishedTable& table, const PublishedRow& row, std::size_t index) {
  const PublishedColumn& column = table.columns[index];
  const PublishedFigure& figure = row.figures[index];
  const int digits = recorded_digits(column);
  const bool same = agrees(figure, column);
  const double by = rounded(deviation(figure), digits);
  return {{"table", table.name},
          {"row", row.name},
          {"column", column.name},
          {"unit", column.unit},
          {"published", figure.published},
          {"ours", rounded(figure.ours, digits)},
          {"recorded", figure.recorded},
          {"deviation", by},
          {"relative_deviation",
           figure.published > 0 ? ordered_json(rounded(deviation(figure) / figure.published, 6))
                                : ordered_json(nullptr)},
          {"agrees", same},
          {"moved", has_moved(figure, column)},
          {"reason", same ? ordered_json(nullptr) : ordered_json(reason(row, column))}};
}

ordered_json json_of(const PublishedTable& table) {
  ordered_json json = {{"table", table.name},         {"title", table.title},
                       {"source", table.source},      {"definition", table.definition},
                       {"computed_from", table.ours}, {"figures", ordered_json::array()}};
  for (const PublishedRow& row : table.rows)
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      ordered_json figure = figure_json(table, row, i);
      figure.erase("table");
      json["figures"].push_back(std::move(figure));
    }
  return json;
}

}  // namespace

PublishedCounts count(const std::vector<PublishedTable>& tables) {
  PublishedCounts counts;
  for (const PublishedTable& table : tables)
    for (const PublishedRow& row : table.rows)
      for (std::size_t i = 0; i < table.columns.size(); ++i) {
        ++counts.values;
        counts.agree += agrees(row.figures[i], table.columns[i]) ? 1U : 0U;
        counts.moved += has_moved(row.figures[i], table.columns[i]) ? 1U : 0U;
      }
  return counts;
}

std::string verdict(const PublishedCounts& counts) {
  const std::size_t differ = counts.values - counts.agree;
  const std::string moved =
      counts.moved == 0 ? "none has moved" : fmt::format("{} moved", counts.moved);
  return fmt::format(
      "{} value{}: {} agree{} with what is published, {} differ{} for the reasons "
      "told; {}",
      counts.values, counts.values == 1 ? "" : "s", counts.agree, counts.agree == 1 ? "s" : "",
      differ, differ == 1 ? "s" : "", moved);
}

std::string published_view(const std::vector<PublishedTable>& tables, Format format, Color color) {
  const PublishedCounts counts = count(tables);
  if (format == Format::Json) {
    ordered_json json = {{"tables", ordered_json::array()},
                         {"values", counts.values},
                         {"agree", counts.agree},
                         {"moved", counts.moved},
                         {"verdict", verdict(counts)}};
    for (const PublishedTable& table : tables)
      json["tables"].push_back(json_of(table));
    return dump_json(json, 2) + "\n";
  }
  if (format == Format::Csv) {
    std::vector<ordered_json> rows;
    for (const PublishedTable& table : tables)
      for (const PublishedRow& row : table.rows)
        for (std::size_t i = 0; i < table.columns.size(); ++i)
          rows.push_back(figure_json(table, row, i));
    return to_csv(rows);
  }
  Page page(format, color);
  for (const PublishedTable& table : tables)
    add_table(page, table);
  page.line(page.emphasized(verdict(counts), Emphasis::Strong));
  return page.text();
}

}  // namespace bubblescope

#include "analysis/views/published_view.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/views/document.h"

namespace bubblescope {
namespace {

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
  Table out{"", {{"row", " "}}};
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    out.columns.push_back(
        {std::to_string(i), with_unit(table.columns[i].name, table.columns[i].unit), as_it_is});
  for (const PublishedRow& row : table.rows) {
    Json& cells = out.rows.emplace_back(Json{{"row", row.name}});
    out.emphasis.push_back(Emphasis::None);
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const PublishedFigure& figure = row.figures[i];
      cells[std::to_string(i)] = fmt::format("{} ({})", number(figure.ours, table.columns[i]),
                                             number(figure.published, table.columns[i]));
      if (has_moved(figure, table.columns[i]))
        out.emphasis.back() = Emphasis::Strong;
    }
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

/// A line for each reason why values of the column differ.
void add_column(Document& page, const PublishedTable& table, std::size_t index) {
  const PublishedColumn& column = table.columns[index];
  const std::size_t rows = table.rows.size();
  const auto found = differences(table, index);
  if (found.empty())
    page.line(fmt::format("{}: {} agree{}", column.name,
                          rows == 1 ? "the one" : fmt::format("all {}", rows),
                          rows == 1 ? "s" : ""));
  for (const Difference& each : found) {
    const std::string least = difference(each.least, column);
    const std::string most = difference(each.most, column);
    const std::string unit = is_percent(column) ? "points" : column.unit;
    const std::string by =
        with_unit(least == most ? most : fmt::format("{} to {}", least, most), unit);
    const bool few = each.count < rows && each.count <= 4;
    page.line(fmt::format("{}: {} of {} differ{}{}, by {}: {}", column.name, each.count, rows,
                          each.count == 1 ? "s" : "", few ? " (" + each.rows + ")" : "", by,
                          each.reason.empty() ? "no reason is known" : each.reason));
  }
}

/// Calls `visit(row, index of the column)` for each figure.
template <typename Visitor>
void for_each_figure(const PublishedTable& table, const Visitor& visit) {
  for (const PublishedRow& row : table.rows)
    for (std::size_t i = 0; i < table.columns.size(); ++i)
      visit(row, i);
}

void add_table(Document& page, const PublishedTable& table) {
  page.title(fmt::format("{}: {}, ours (theirs)", table.name, table.title), Emphasis::None);
  page.table(table_of(table));
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    add_column(page, table, i);
  for_each_figure(table, [&](const PublishedRow& row, std::size_t i) {
    const PublishedColumn& column = table.columns[i];
    if (has_moved(row.figures[i], column))
      page.line(fmt::format("moved: {}, {}: {}, recorded as {}", row.name, column.name,
                            with_unit(number(row.figures[i].ours, column, 2), column.unit),
                            with_unit(number(row.figures[i].recorded, column, 2), column.unit)),
                Emphasis::Strong);
  });
  page.line("theirs: " + table.source, Emphasis::Faint);
  page.line("figures: " + table.definition, Emphasis::Faint);
  page.line("ours: " + table.ours, Emphasis::Faint);
}

/// One object a figure; in a CSV they name their table.
Json figure_json(const PublishedTable& table, const PublishedRow& row, std::size_t index) {
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
           figure.published > 0 ? Json(rounded(deviation(figure) / figure.published, 6)) : Json()},
          {"agrees", same},
          {"moved", has_moved(figure, column)},
          {"reason", same ? Json() : Json(reason(row, column))}};
}

Rows figure_rows(const PublishedTable& table) {
  Rows rows;
  for_each_figure(table, [&](const PublishedRow& row, std::size_t index) {
    rows.push_back(figure_json(table, row, index));
  });
  return rows;
}

Json json_of(const PublishedTable& table) {
  Json json = {{"table", table.name},         {"title", table.title},
               {"source", table.source},      {"definition", table.definition},
               {"computed_from", table.ours}, {"figures", figure_rows(table)}};
  for (Json& figure : json["figures"])
    figure.erase("table");
  return json;
}

}  // namespace

PublishedCounts count(const std::vector<PublishedTable>& tables) {
  PublishedCounts counts;
  for (const PublishedTable& table : tables)
    for_each_figure(table, [&](const PublishedRow& row, std::size_t i) {
      ++counts.values;
      counts.agree += agrees(row.figures[i], table.columns[i]) ? 1U : 0U;
      counts.moved += has_moved(row.figures[i], table.columns[i]) ? 1U : 0U;
    });
  return counts;
}

std::string verdict(const PublishedCounts& counts) {
  const std::size_t differ = counts.values - counts.agree;
  const std::string moved =
      counts.moved == 0 ? "none has moved" : fmt::format("{} moved", counts.moved);
  return fmt::format(
      "{} value{}: {} agree{} with what is published, {} differ{} for the reasons "
      "given; {}",
      counts.values, counts.values == 1 ? "" : "s", counts.agree, counts.agree == 1 ? "s" : "",
      differ, differ == 1 ? "s" : "", moved);
}

std::string published_view(const std::vector<PublishedTable>& tables, const Style& style) {
  const PublishedCounts counts = count(tables);
  return render(
      style,
      [&] {
        Document page;
        for (const PublishedTable& table : tables)
          add_table(page, table);
        page.verdict(verdict(counts));
        return page;
      },
      [&] {
        Json json = {{"tables", Json::array()},
                     {"values", counts.values},
                     {"agree", counts.agree},
                     {"moved", counts.moved},
                     {"verdict", verdict(counts)}};
        for (const PublishedTable& table : tables)
          json["tables"].push_back(json_of(table));
        return json;
      },
      [&] {
        Rows rows;
        for (const PublishedTable& table : tables)
          for (Json& row : figure_rows(table))
            rows.push_back(std::move(row));
        return rows;
      });
}

}  // namespace bubblescope

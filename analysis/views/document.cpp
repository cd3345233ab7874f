#include "analysis/views/document.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/json_text.h"
#include "sim/base/nearest.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

/// Writes a block in one of the two languages.
struct Writer {
  const Style& style;
  const std::optional<TimeUnit>& unit;
  bool is_markdown = style.format == Format::Markdown;

  std::string operator()(const Document::Title& title) const {
    return is_markdown ? "## " + title.words + "\n" : line(title.words, title.emphasis);
  }
  std::string operator()(const Document::Line& each) const {
    return is_markdown ? "- " + each.words + "\n" : line(each.words, each.emphasis);
  }
  std::string line(const std::string& words, Emphasis emphasis) const {
    const bool may_wrap = style.is_terminal && words.find('\n') == std::string::npos;
    return emphasize(may_wrap ? wrapped(words, 2) : words, emphasis, style.color) + "\n";
  }
  std::string operator()(const Document::Drawing& drawing) const {
    return is_markdown ? "```\n" + drawing.lines + "```\n" : drawing.lines;
  }
  std::string operator()(const Table& table) const {
    return is_markdown ? to_markdown(table, style, unit) : to_text(table, style, unit);
  }
  std::string operator()(const Figures& all) const {
    std::vector<Column> columns;
    for (const Figure& figure : all.figures)
      columns.push_back(figure.column);
    const TimeUnit best = unit.value_or(unit_of(columns, {all.values}));
    Table table{"", {{"figure"}, {"value", "", as_it_is}, {"meaning"}}};
    for (const Column& column : chosen(columns, style.columns)) {
      const auto figure =
          std::find_if(all.figures.begin(), all.figures.end(),
                       [&](const Figure& each) { return each.column.key == column.key; });
      if (const Json& value = all.values.at(column.key); !value.is_null())
        table.rows.push_back({{"figure", column.title()},
                              {"value", shown(column, value, best)},
                              {"meaning", figure->meaning}});
    }
    return table.rows.empty() ? "" : operator()(table);
  }
};

/// Throws UnknownColumn.
void check_columns(const Document& document, const std::vector<std::string>& asked) {
  std::vector<Column> all;
  for (const Document::Block& block : document.blocks())
    if (const auto* table = std::get_if<Table>(&block))
      all.insert(all.end(), table->columns.begin(), table->columns.end());
    else if (const auto* figures = std::get_if<Figures>(&block))
      for (const Figure& figure : figures->figures)
        all.push_back(figure.column);
  std::vector<std::string> names;
  for (const Column& column : all)
    if (std::find(names.begin(), names.end(), column.name()) == names.end())
      names.push_back(column.name());
  for (const std::string& name : asked)
    if (name != "all" && std::none_of(all.begin(), all.end(), [&](const Column& column) {
          return is_chosen(column, {name});
        }))
      throw UnknownColumn(fmt::format("--columns: there is no column '{}'{}\n  columns: {}, or all",
                                      printable_name(name), did_you_mean(name, names),
                                      fmt::join(names, ", ")));
}

}  // namespace

void Document::title(std::string words, Emphasis emphasis) {
  blocks_.emplace_back(Title{std::move(words), emphasis});
}

void Document::line(std::string words, Emphasis emphasis) {
  blocks_.emplace_back(Line{std::move(words), emphasis});
}

void Document::skipped(const std::vector<Skipped>& schedules) {
  for (const Skipped& each : schedules)
    line(fmt::format("skipped {}: {}", each.schedule, each.reason), Emphasis::Faint);
}

void Document::drawing(std::string lines) {
  blocks_.emplace_back(Drawing{std::move(lines)});
}

void Document::table(Table table) {
  if (!table.rows.empty())
    blocks_.emplace_back(std::move(table));
}

void Document::figures(Json values, std::vector<Figure> figures) {
  blocks_.emplace_back(Figures{std::move(values), std::move(figures)});
}

std::string render(const Document& document, const Style& style) {
  check_columns(document, style.columns);
  std::string text;
  const Document::Block* former = nullptr;
  for (const Document::Block& block : document.blocks()) {
    const bool goes_on = std::holds_alternative<Document::Line>(block) && former != nullptr &&
                         (std::holds_alternative<Document::Line>(*former) ||
                          std::holds_alternative<Document::Title>(*former));
    text += former == nullptr || goes_on ? "" : "\n";
    text += std::visit(Writer{style, document.unit()}, block);
    former = &block;
  }
  return text;
}

void add_provenance(const Style& style, Json& result) {
  if (style.provenance == nullptr || !result.is_object())
    return;
  for (const auto& [key, value] : style.provenance->items())
    if (!result.contains(key))
      result[key] = value;
}

std::string render(const Style& style, const std::function<Document()>& document,
                   const std::function<Json()>& json, const std::function<Rows()>& rows,
                   const std::string& csv_without_rows) {
  if (style.format == Format::Json) {
    Json result = json();
    add_provenance(style, result);
    return dump_json(result, 2) + "\n";
  }
  if (style.format != Format::Csv)
    return render(document(), style);
  const std::string text = to_csv(rows());
  return text.empty() ? csv_without_rows : text;
}

}  // namespace bubblescope

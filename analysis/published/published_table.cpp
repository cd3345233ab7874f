#include "analysis/published/published_table.h"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "sim/base/json_input.h"

namespace bubblescope {
namespace {

constexpr std::string_view kFormat = "bubblescope-published/1";
constexpr int kMostDigits = 6;

PublishedColumn read_column(ObjectReader& reader) {
  PublishedColumn column = {.name = reader.text("name"), .unit = reader.text("unit")};
  const std::int64_t digits = reader.integer("digits");
  if (digits > kMostDigits)
    reader.fail("digits", fmt::format("at most {}", kMostDigits));
  column.digits = static_cast<int>(digits);
  if (reader.has("reason"))
    column.reason = reader.text("reason");
  reader.finish();
  return column;
}

PublishedRow read_row(ObjectReader& reader, std::size_t columns, const nlohmann::json& value) {
  PublishedRow row = {.name = reader.text("name")};
  if (reader.has("reason"))
    row.reason = reader.text("reason");
  reader.object("setting");  // an object; its keys are the table's own
  row.setting = value["setting"];
  reader.skip("published");
  reader.skip("ours");
  const auto published = *reader.optional_numbers("published", columns);
  const auto recorded = *reader.optional_numbers("ours", columns);
  for (std::size_t i = 0; i < columns; ++i)
    row.figures.push_back({.published = published[i], .recorded = recorded[i]});
  reader.finish();
  return row;
}

}  // namespace

PublishedTable parse_published(std::string_view text, const std::string& file) {
  const nlohmann::json json = parse_json(text, file);
  ObjectReader reader(json, {file, ""});
  if (const std::string format = reader.text("format"); format != kFormat)
    reader.fail("format", fmt::format("expected \"{}\", got \"{}\"", kFormat, format));
  PublishedTable table = {.name = reader.text("name"),
                          .file = file,
                          .title = reader.text("title"),
                          .source = reader.text("source"),
                          .definition = reader.text("definition"),
                          .ours = reader.text("ours")};
  reader.skip("columns");
  reader.skip("rows");
  auto columns = *reader.optional_objects("columns");
  for (ObjectReader& column : columns)
    table.columns.push_back(read_column(column));
  auto rows = *reader.optional_objects("rows");
  for (std::size_t i = 0; i < rows.size(); ++i)
    table.rows.push_back(read_row(rows[i], table.columns.size(), json["rows"][i]));
  reader.finish();
  return table;
}

double rounded(double value, int digits) {
  const double scale = std::pow(10.0, digits);
  return std::round(value * scale) / scale;
}

bool agrees(const PublishedFigure& figure, const PublishedColumn& column) {
  return rounded(figure.ours, column.digits) == rounded(figure.published, column.digits);
}

bool has_moved(const PublishedFigure& figure, const PublishedColumn& column) {
  constexpr double kHalf = 0.501;  // recorded values are rounded, and halves are no move
  return !(std::abs(figure.ours - figure.recorded) <=
           kHalf * std::pow(10.0, -recorded_digits(column)));
}

const std::string& reason(const PublishedRow& row, const PublishedColumn& column) {
  return row.reason.empty() ? column.reason : row.reason;
}

}  // namespace bubblescope

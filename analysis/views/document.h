// A result as a view makes it and a reader asks for it: figures, tables and lines in order for a
// terminal or in Markdown, else JSON, or rows of CSV. Tables have the keys of rows as columns, and
// a key's end gives its unit:
//
//     all ranks: busy 240.000 µs
//
//                         live
//     rank        span  activations
//        0  330.000 µs            4
//        1  300.000 µs            3
//     …
//
// Read: every rank is busy for 240 µs, so that "busy_ns" is a fact above the table and no column of
// it; the ranks differ in "span_ns" and "peak_live_activations", which has a heading of its own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "analysis/figures/fits.h"
#include "analysis/figures/format.h"
#include "analysis/views/table.h"

namespace bubblescope {

/// A value that stands in a line of its own, with what it means.
struct Figure {
  Column column;
  std::string meaning = {};
};
struct Figures {
  Json values;  ///< What is null has no line.
  std::vector<Figure> figures;
};

/// Blocks from top to bottom; renderers set the blank lines.
class Document {
 public:
  struct Title {
    std::string words;
    Emphasis emphasis;
  };
  struct Line {
    std::string words;
    Emphasis emphasis;
  };
  struct Drawing {
    std::string lines;
  };
  using Block = std::variant<Title, Line, Drawing, Table, Figures>;

  /// All times are shown in the unit that suits `longest`; none: a table's in that of its longest.
  explicit Document(std::optional<Time> longest = {}) {
    if (longest)
      unit_ = TimeUnit::fit(*longest);
  }

  void title(std::string words, Emphasis emphasis = Emphasis::Strong);
  void line(std::string words, Emphasis emphasis = Emphasis::None);
  void skipped(const std::vector<Skipped>& schedules);
  void verdict(const std::string& words) { line("verdict: " + words); }
  /// A terminal's lines as they stand.
  void drawing(std::string lines);
  /// Nothing where it has no rows.
  void table(Table table);
  void figures(Json values, std::vector<Figure> figures);

  const std::vector<Block>& blocks() const { return blocks_; }
  const std::optional<TimeUnit>& unit() const { return unit_; }

 private:
  std::optional<TimeUnit> unit_ = {};
  std::vector<Block> blocks_ = {};
};

/// Adds what the style says of how a result was made, but for keys that it has itself.
void add_provenance(const Style& style, Json& result);

/// A result, of which only what `style` asks for is made. Throws UnknownColumn.
std::string render(const Style& style, const std::function<Document()>& document,
                   const std::function<Json()>& json, const std::function<Rows()>& rows,
                   const std::string& csv_without_rows = "");
/// For people: on a terminal, or in Markdown.
std::string render(const Document& document, const Style& style);
}  // namespace bubblescope

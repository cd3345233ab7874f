// A page that a view prints for people: titles, tables and lines, on a terminal or in Markdown.
#pragma once

#include <string>
#include <string_view>

#include "analysis/figures/fits.h"
#include "analysis/figures/format.h"

namespace bubblescope {

/// Written from top to bottom. Markdown has no colours.
class Page {
 public:
  Page(Format format, Color color)
      : markdown_(format == Format::Markdown), color_(markdown_ ? Color::Off : color) {}

  std::string emphasized(std::string_view words, Emphasis emphasis) const {
    return emphasize(words, emphasis, color_);
  }

  /// A line of its own, in Markdown a heading.
  void title(const std::string& words, Emphasis emphasis = Emphasis::Strong);
  /// Below a blank line.
  void table(const Table& table);
  void line(const std::string& words) { text_ += words + "\n"; }
  void blank_line() { text_ += "\n"; }
  /// A line, in Markdown a point of a list.
  void point(const std::string& words, Emphasis emphasis = Emphasis::None);
  void skipped(const Skipped& schedule);
  void verdict(const std::string& words);
  /// Lines of a terminal as they stand, below a blank line.
  void drawing(const std::string& lines);
  /// Lines that end in newlines, below a blank line; in Markdown each is broken where it ends.
  void lines(const std::string& lines);

  const std::string& text() const { return text_; }

 private:
  bool markdown_;
  Color color_;
  std::string text_ = {};
};

}  // namespace bubblescope

#include "analysis/views/page.h"

#include <fmt/format.h>

namespace bubblescope {

void Page::title(const std::string& words, Emphasis emphasis) {
  line(markdown_ ? "## " + words : emphasized(words, emphasis));
}

void Page::table(const Table& table) {
  text_ += "\n" + (markdown_ ? to_markdown(table) : to_text(table, color_));
}

void Page::point(const std::string& words, Emphasis emphasis) {
  line((markdown_ ? "- " : "") + emphasized(words, emphasis));
}

void Page::skipped(const Skipped& schedule) {
  point(fmt::format("skipped {}: {}", schedule.schedule, schedule.reason), Emphasis::Faint);
}

void Page::verdict(const std::string& words) {
  point(emphasized("verdict:", Emphasis::Strong) + " " + words);
}

void Page::drawing(const std::string& lines) {
  const std::string fence = markdown_ ? "```\n" : "";
  text_ += "\n" + fence + lines + fence;
}

void Page::lines(const std::string& lines) {
  blank_line();
  for (const char c : lines) {
    if (markdown_ && c == '\n')
      text_ += "  ";
    text_ += c;
  }
}

}  // namespace bubblescope

#include "analysis/pictures/svg.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace bubblescope {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// The bytes of the character that begins at `at`; 0 where no character of XML does.
std::size_t character_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  if (first < 0x80)
    return first >= 0x20 || first == '\t' || first == '\n' ? 1 : 0;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size())
    return 0;
  std::uint32_t code = first & (0xFFU >> (length + 1));
  for (std::size_t i = at + 1; i < at + length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80)
      return 0;
    code = (code << 6) | (byte(i) & 0x3FU);
  }
  constexpr std::uint32_t kLeast[] = {0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  const bool is_none = (code >= 0x80 && code < 0xA0) || code == 0xFFFE || code == 0xFFFF;
  return code < kLeast[length - 2] || code > 0x10FFFF || is_surrogate || is_none ? 0 : length;
}

/// In ems, of the widest face that browsers take for sans-serif.
double character_width(std::string_view character) {
  if (character.size() > 2)  // signs, ideographs
    return 1.05;
  const char c = character.front();
  const auto is_one_of = [&](std::string_view set) { return set.find(c) != set.npos; };
  if (is_one_of("iIjl.,:;'|! "))
    return 0.42;
  if (is_one_of("ft()[]r-/"))
    return 0.47;
  if (is_one_of("mMWw@%&"))
    return 1.02;
  return c >= 'A' && c <= 'Z' ? 0.8 : 0.65;
}

/// Calls `visit` with each character; with one byte where there is none.
template <typename Visitor>
void for_each_character(std::string_view text, Visitor&& visit) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = std::max<std::size_t>(character_length(text, at), 1);
    visit(text.substr(at, length), at);
    at += length;
  }
}

struct AxisUnit {
  double nanoseconds;
  std::string_view name;
};

AxisUnit axis_unit(Time length) {
  static constexpr AxisUnit kUnits[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}};
  for (const AxisUnit& unit : kUnits)
    if (static_cast<double>(length.count()) >= 2 * unit.nanoseconds)
      return unit;
  return {1, "ns"};
}

}  // namespace

void StyleSheet::paint(std::string_view selector, std::string_view property, Paint paint) {
  light_ += fmt::format("{}{{{}:{}}}", selector, property, paint.light);
  dark_ += fmt::format("{}{{{}:{}}}", selector, property, paint.dark);
}

std::string StyleSheet::text() const {
  return light_ + (dark_.empty() ? "" : "@media(prefers-color-scheme:dark){" + dark_ + "}");
}

std::string svg_begin(const SvgFrame& frame, const StyleSheet& style) {
  StyleSheet own;
  own.rule("text{font-family:system-ui,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif}");
  own.paint(".p", "fill", kPaper);
  own.paint(".i", "fill", kInk);
  own.paint(".s", "fill", kSoftInk);
  own.paint(".g", "stroke", kGuide);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" role=\"img\" aria-labelledby=\"title description\">\n"
      "<title id=\"title\">{2}</title>\n<desc id=\"description\">{3}</desc>\n"
      "<style>{4}{5}</style>\n<rect class=\"p\" width=\"{0}\" height=\"{1}\"/>\n",
      px(frame.width), px(frame.height), xml_escaped(frame.title), xml_escaped(frame.description),
      own.text(), style.text());
}

std::string xml_escaped(std::string_view text) {
  std::string out;
  for_each_character(text, [&](std::string_view character, std::size_t at) {
    if (character_length(text, at) == 0)
      out += kReplacement;
    else if (character == "&")
      out += "&amp;";
    else if (character == "<")
      out += "&lt;";
    else if (character == ">")
      out += "&gt;";
    else if (character == "\"")
      out += "&quot;";
    else if (character == "'")
      out += "&#39;";
    else
      out += character;
  });
  return out;
}

std::string svg_text(double x, double y, std::string_view attributes, std::string_view text) {
  return fmt::format("<text x=\"{}\" y=\"{}\"{}>{}</text>\n", px(x), px(y), attributes,
                     xml_escaped(text));
}

void append_px(fmt::memory_buffer& out, double px) {
  const auto hundredths = static_cast<std::int64_t>(std::llround(px * 100));
  const std::uint64_t size = static_cast<std::uint64_t>(std::abs(hundredths));
  const auto to = std::back_inserter(out);
  if (hundredths < 0)
    out.push_back('-');
  if (size >= 100 || size == 0)
    fmt::format_to(to, "{}", size / 100);
  if (size % 10 != 0)
    fmt::format_to(to, ".{:02}", size % 100);
  else if (size % 100 != 0)
    fmt::format_to(to, ".{}", size % 100 / 10);
}

std::string px(double value) {
  fmt::memory_buffer out;
  append_px(out, value);
  return fmt::to_string(out);
}

double text_width(std::string_view text, double font_size) {
  double ems = 0;
  for_each_character(text, [&](std::string_view c, std::size_t) { ems += character_width(c); });
  return ems * font_size;
}

std::string fitted(std::string_view text, double font_size, double width) {
  if (text_width(text, font_size) <= width)
    return std::string(text);
  constexpr std::string_view kCut = "…";
  double left = width - text_width(kCut, font_size);
  std::size_t end = 0;
  for_each_character(text, [&](std::string_view character, std::size_t at) {
    left -= character_width(character) * font_size;
    if (left >= 0)
      end = at + character.size();
  });
  return std::string(text.substr(0, end)) + std::string(kCut);
}

double tick_step(double range, int most) {
  if (!(range > 0))
    return 1;
  double power = std::pow(10.0, std::floor(std::log10(range / most)));
  for (;; power *= 10)
    for (const double factor : {1.0, 2.0, 5.0})
      if (range / (factor * power) <= most * (1 + 1e-9))
        return factor * power;
}

std::vector<Time> time_ticks(Time length, int most) {
  const double exact = tick_step(static_cast<double>(length.count()), most);
  const Time step(std::max<std::int64_t>(std::llround(exact), 1));
  std::vector<Time> ticks;
  for (Time tick{}; tick <= length; tick += step)
    ticks.push_back(tick);
  return ticks;
}

std::string tick_label(Time tick, Time length) {
  if (tick == Time::zero())
    return "0";
  const AxisUnit unit = axis_unit(length);
  return fmt::format("{} {}", static_cast<double>(tick.count()) / unit.nanoseconds, unit.name);
}

}  // namespace bubblescope

// What every SVG picture is made of: a frame that follows the reader's light or dark scheme, text
// that is harmless and fits, short numbers, ticks, colours that the colour-blind tell apart.
//
//     <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 400" …><title>…</title><style>…
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "sim/base/types.h"

namespace bubblescope {

/// A colour in the light scheme and in the dark one, "#rrggbb".
struct Paint {
  std::string_view light;
  std::string_view dark;
};

/// Of the frame: what is drawn upon, text, secondary text (both at a contrast of 4.5 and more), and
/// lines that only guide the eye.
constexpr Paint kPaper = {"#ffffff", "#14171c"};
constexpr Paint kInk = {"#14171c", "#e8eaed"};
constexpr Paint kSoftInk = {"#565d68", "#a4acb8"};
constexpr Paint kGuide = {"#dfe2e7", "#2c323b"};

/// Lines and areas of a plot, one a series, in this order; a contrast of 3 to the paper.
constexpr std::array<Paint, 8> kSeries = {{{"#2f6bd0", "#7aa9f5"},
                                           {"#a8570c", "#f0a35c"},
                                           {"#0b7c61", "#4fd0b3"},
                                           {"#b3304a", "#f0808f"},
                                           {"#7344b5", "#b795ee"},
                                           {"#6b6410", "#cfc352"},
                                           {"#1c7c9c", "#62c4e4"},
                                           {"#6a6f78", "#b3b9c2"}}};

/// Rules that name colours, each told twice: for the light scheme, and for the dark one. Plain
/// classes, since many viewers know no CSS variables.
class StyleSheet {
 public:
  /// `.box{fill:#…}`; the property is "fill" or "stroke".
  void paint(std::string_view selector, std::string_view property, Paint paint);
  /// A rule for both schemes.
  void rule(std::string_view text) { light_ += text; }
  std::string text() const;

 private:
  std::string light_;
  std::string dark_;
};

struct SvgFrame {
  double width;
  double height;
  std::string title;        ///< Any text: it is escaped.
  std::string description;  ///< What a reader is told who does not see.
};
/// Up to the first element of the picture, on paper; text is sans-serif and has the class "i" for
/// ink or "s" for soft ink, guides have "g". `style` comes after the frame's own rules.
std::string svg_begin(const SvgFrame& frame, const StyleSheet& style);
constexpr std::string_view kSvgEnd = "</svg>\n";

/// As text or an attribute's value. What is no UTF-8, or cannot stand in XML, becomes U+FFFD.
std::string xml_escaped(std::string_view text);
/// "<text class="s" x="4" y="9.5" …>a &lt; b</text>"; `attributes` as they stand, with a blank
/// before each.
std::string svg_text(double x, double y, std::string_view attributes, std::string_view text);

/// Pixels to a hundredth, as short as can be: "12", "-.5", "0".
void append_px(fmt::memory_buffer& out, double px);
std::string px(double value);

/// Pixels that a line of text takes at most, in whatever sans-serif face the viewer has.
double text_width(std::string_view text, double font_size);
/// The text, cut to an "…" where it is wider.
std::string fitted(std::string_view text, double font_size, double width);

/// The least of 1, 2 and 5 times a power of ten that divides `range` into at most `most` parts. A
/// range of 0 has 1.
double tick_step(double range, int most);
/// From 0 up to `length` in whole nanoseconds, at most `most` parts.
std::vector<Time> time_ticks(Time length, int most);
/// "0", "250 µs", "1.5 ms": all ticks of an axis in one unit.
std::string tick_label(Time tick, Time length);

}  // namespace bubblescope

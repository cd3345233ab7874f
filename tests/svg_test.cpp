// The parts of SVG pictures: text is harmless and fits, numbers are short, ticks are round.
#include "analysis/pictures/svg.h"

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/colours.h"

namespace bubblescope {
namespace {

TEST_CASE("text is escaped for XML, and what XML cannot hold is replaced") {
  CHECK(xml_escaped("</text><script>\"a\" & 'b'") ==
        "&lt;/text&gt;&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;");
  CHECK(xml_escaped("µs 中 😀 \t\n") == "µs 中 😀 \t\n");
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(xml_escaped(std::string("a\0b\x1b", 4)) == "a" + bad + "b" + bad);
  CHECK(xml_escaped("\xC3") == bad);
  CHECK(xml_escaped("\xC3(") == bad + "(");
  CHECK(xml_escaped("\xED\xA0\x80") == bad + bad + bad);  // half a surrogate pair
  CHECK(xml_escaped("\xC0\xBC") == bad + bad);            // '<' in two bytes
  CHECK(xml_escaped("\xEF\xBF\xBF") == bad + bad + bad);  // U+FFFF
  CHECK(xml_escaped("\xF4\x90\x80\x80") == bad + bad + bad + bad);
}

TEST_CASE("pixels are rounded to hundredths and written short") {
  CHECK(px(0) == "0");
  CHECK(px(0.004) == "0");
  CHECK(px(-0.004) == "0");
  CHECK(px(12) == "12");
  CHECK(px(0.5) == ".5");
  CHECK(px(-0.05) == "-.05");
  CHECK(px(-3.256) == "-3.26");
  CHECK(px(10.10) == "10.1");
  CHECK(px(100.999) == "101");
}

TEST_CASE("text that is too wide ends in an ellipsis within its width") {
  CHECK(fitted("zb-h1", 10, 100) == "zb-h1");
  const std::string name(80, 'W');
  const std::string cut = fitted(name, 10, 100);
  CHECK(cut.ends_with("…"));
  CHECK(text_width(cut, 10) <= 100);
  CHECK(text_width("W" + cut, 10) > 100);
  CHECK(fitted("中文中文中文", 10, 35) == "中文…");
}

TEST_CASE("ticks are one, two or five times a power of ten, at most as many as asked for") {
  CHECK(tick_step(100, 10) == doctest::Approx(10));
  CHECK(tick_step(101, 10) == doctest::Approx(20));
  CHECK(tick_step(0.7, 4) == doctest::Approx(0.2));
  CHECK(tick_step(0, 10) == 1);
  for (double range = 1; range < 1e15; range *= 1.7)
    for (int most = 1; most < 12; ++most) {
      const double step = tick_step(range, most);
      CHECK(range / step <= most * (1 + 1e-9));
      CHECK(range / step * 2.5 * (1 + 1e-9) >= most);
      const double digits = step / std::pow(10.0, std::floor(std::log10(step * (1 + 1e-9))));
      const bool is_round =
          std::abs(digits - 1) < 1e-6 || std::abs(digits - 2) < 1e-6 || std::abs(digits - 5) < 1e-6;
      CHECK_MESSAGE(is_round, step);
    }
}

TEST_CASE("ticks of a time axis are whole nanoseconds in one unit") {
  CHECK(time_ticks(Time(330), 10).size() == 7);  // every 50
  CHECK(time_ticks(Time(3), 10).size() == 4);    // never closer than 1
  CHECK(time_ticks(Time(0), 10) == std::vector{Time(0)});
  CHECK(tick_label(Time(0), Time(5'000)) == "0");
  CHECK(tick_label(Time(500), Time(5'000)) == "0.5 µs");
  CHECK(tick_label(Time(250'000), Time(1'900'000)) == "250 µs");
  CHECK(tick_label(Time(2'500'000'000), Time(17'000'000'000)) == "2.5 s");
  CHECK(tick_label(Time(7), Time(40)) == "7 ns");
}

TEST_CASE("a style sheet tells each colour for both schemes") {
  StyleSheet style;
  style.rule("a{b:c}");
  CHECK(style.text() == "a{b:c}");
  style.paint(".x", "fill", {"#000000", "#ffffff"});
  CHECK(style.text() ==
        "a{b:c}.x{fill:#000000}@media(prefers-color-scheme:dark){.x{fill:#ffffff}}");
}

TEST_CASE("ink and series stand out from the paper") {
  for (const Paint ink : {kInk, kSoftInk}) {
    CHECK(contrast(ink.light, kPaper.light) >= 4.5);
    CHECK(contrast(ink.dark, kPaper.dark) >= 4.5);
  }
  for (const Paint series : kSeries) {
    CHECK(contrast(series.light, kPaper.light) >= 3);
    CHECK(contrast(series.dark, kPaper.dark) >= 3);
  }
}

TEST_CASE("contrast and colour difference are as their standards define them") {
  CHECK(contrast("#000000", "#ffffff") == doctest::Approx(21));
  CHECK(contrast("#777777", "#ffffff") == doctest::Approx(4.478).epsilon(0.001));  // known
  CHECK(colour_difference("#ffffff", "#000000", Vision::Normal) ==
        doctest::Approx(100).epsilon(0.001));
  const double red_green = colour_difference("#c00000", "#006000", Vision::Normal);
  CHECK(colour_difference("#c00000", "#006000", Vision::Deuteranopia) < red_green / 3);
}

}  // namespace
}  // namespace bubblescope

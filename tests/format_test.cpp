// Tables, CSV and numbers as they are shown.
#include "analysis/figures/format.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace bubblescope {
namespace {

Table sample() {
  return {.columns = {{"name", Column::Align::Left}, {"time"}, {"note", Column::Align::Left}},
          .rows = {{{"α", "1.5 µs", "first"}, Emphasis::Strong},
                   {{"longer", "12345.0 ns", ""}, Emphasis::Faint},
                   {{"", "×", "m ≥ 2p"}}}};
}

}  // namespace

TEST_CASE("a table aligns signs, not bytes, and leaves no blank at a line's end") {
  CHECK(to_text(sample(), Color::Off) ==
        "name          time  note\n"
        "α           1.5 µs  first\n"
        "longer  12345.0 ns\n"
        "                 ×  m ≥ 2p\n");
}

TEST_CASE("colours go around whole lines and change nothing else") {
  CHECK(to_text(sample(), Color::On) ==
        "\x1b[2mname          time  note\x1b[0m\n"
        "\x1b[1;32mα           1.5 µs  first\x1b[0m\n"
        "\x1b[2mlonger  12345.0 ns\x1b[0m\n"
        "                 ×  m ≥ 2p\n");
  CHECK(emphasize("x", Emphasis::Strong, Color::Off) == "x");
  CHECK(emphasize("x", Emphasis::None, Color::On) == "x");
}

TEST_CASE("a Markdown table has a rule that aligns its columns") {
  CHECK(to_markdown(sample()) ==
        "| name | time | note |\n"
        "| --- | ---: | --- |\n"
        "| α | 1.5 µs | first |\n"
        "| longer | 12345.0 ns |  |\n"
        "|  | × | m ≥ 2p |\n");
  CHECK(to_markdown({.columns = {{"a"}}}) == "| a |\n| ---: |\n");
}

TEST_CASE("a header of two lines stands on the last one, and is one line in Markdown") {
  const Table table{.columns = {{"name", Column::Align::Left}, {"live\nactivations"}, {"fits"}},
                    .rows = {{{"a", "12", "yes"}}}};
  CHECK(to_text(table, Color::Off) ==
        "             live\n"
        "name  activations  fits\n"
        "a              12   yes\n");
  CHECK(to_markdown(table).starts_with("| name | live activations | fits |\n"));
}

TEST_CASE("CSV quotes what RFC 4180 says must be quoted, and has no line breaks in a field") {
  using nlohmann::ordered_json;
  const ordered_json first = {{"plain", "a b"}, {"comma,key", "x,y"}, {"quote", "say \"hi\""},
                              {"line", "1\n2"}, {"none", nullptr},    {"number", 1.25}};
  ordered_json second = first;
  second["plain"] = "µ";
  second["quote"] = true;
  CHECK(to_csv({first, second}) ==
        "plain,\"comma,key\",quote,line,none,number\r\n"
        "a b,\"x,y\",\"say \"\"hi\"\"\",1?2,,1.25\r\n"
        "µ,\"x,y\",true,1?2,,1.25\r\n");
}

TEST_CASE("times of one column share the unit that suits the longest") {
  struct Case {
    std::int64_t longest, time;
    const char* shown;
  };
  const Case cases[] = {{0, 0, "0 ns"},
                        {9'999, 9'999, "9999 ns"},
                        {10'000, 10'000, "10.000 µs"},
                        {10'000, 1, "0.001 µs"},
                        {9'999'999, 9'999'999, "9999.999 µs"},
                        {10'000'000, 12'345'678, "12.346 ms"},
                        {10'000'000'000, 8'123'400'000, "8.123 s"},
                        {1'000'000'000'000'000'000, 0, "0.000 s"}};
  for (const Case& each : cases)
    CHECK(TimeUnit::fit(Time(each.longest)).format(Time(each.time)) == each.shown);
}

TEST_CASE("shares are shown in percent and sizes in binary units") {
  CHECK(format_percent(0) == "0.00 %");
  CHECK(format_percent(3.0 / 11) == "27.27 %");
  CHECK(format_percent(1.5) == "150.00 %");
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1024) == "1.0 KiB");
  CHECK(format_bytes(80'000'000'000) == "74.5 GiB");
  CHECK(format_bytes(9'000'000'000'000'000'000) == "7.8 EiB");
}

}  // namespace bubblescope

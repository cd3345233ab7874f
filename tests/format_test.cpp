// Documents with their tables, CSV and numbers as they are shown.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "analysis/views/document.h"

namespace bubblescope {
namespace {

Document with(Table table) {
  Document document;
  document.table(std::move(table));
  return document;
}

Document sample() {
  return with({.noun = "thing",
               .columns = {{"name"}, {"time_ns"}, {"note"}},
               .rows = {{{"name", "α"}, {"time_ns", 1'500}, {"note", "first"}},
                        {{"name", "longer"}, {"time_ns", 12'345}, {"note", nullptr}},
                        {{"name", ""}, {"time_ns", nullptr}, {"note", "m ≥ 2p"}}},
               .emphasis = {Emphasis::Strong, Emphasis::Faint}});
}

/// Ranks that differ in the first two columns.
Document ranks(int count, std::size_t letters = 1) {
  Table table{.noun = "rank",
              .columns = {{"rank"},
                          {"live"},
                          {"busy_ns"},
                          {"drain_ns"},
                          {"memory_bytes"},
                          {"copies", "weight copies"},
                          {"extra", "", percent, Show::OnRequest},
                          {"words", "", {}, Show::IfRoom},
                          {"end"}}};
  for (int rank = 0; rank < count; ++rank)
    table.rows.push_back({{"rank", rank},
                          {"live", count - rank},
                          {"busy_ns", 20'000},
                          {"drain_ns", 0},
                          {"memory_bytes", nullptr},
                          {"copies", 2},
                          {"extra", 0.5},
                          {"words", std::string(letters, 'w') + std::to_string(rank)},
                          {"end", rank % 2 == 0}});
  return with(std::move(table));
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("A table aligns signs, not bytes, and leaves no blank at a line's end") {
  CHECK(render(sample(), {}) ==
        "name         time  note\n"
        "α        1.500 µs  first\n"
        "longer  12.345 µs\n"
        "                   m ≥ 2p\n");
}

TEST_CASE("Colours go around whole lines and change nothing else") {
  CHECK(render(sample(), {.color = Color::On}) ==
        "\x1b[2mname         time  note\x1b[0m\n"
        "\x1b[1;32mα        1.500 µs  first\x1b[0m\n"
        "\x1b[2mlonger  12.345 µs\x1b[0m\n"
        "                   m ≥ 2p\n");
  CHECK(emphasize("x", Emphasis::Strong, Color::Off) == "x");
  CHECK(emphasize("x", Emphasis::None, Color::On) == "x");
}

TEST_CASE("A Markdown table has a rule that aligns its columns") {
  CHECK(render(sample(), {.format = Format::Markdown}) ==
        "| name | time | note |\n"
        "| --- | ---: | --- |\n"
        "| α | 1.500 µs | first |\n"
        "| longer | 12.345 µs | |\n"
        "| | | m ≥ 2p |\n");
}

TEST_CASE("A heading wider than its cells has two lines, and is one line in Markdown") {
  const Document document =
      with({.columns = {{"name"}, {"live activations"}, {"fits"}},
            .rows = {{{"name", "a"}, {"live activations", 12}, {"fits", true}}}});
  CHECK(render(document, {}) ==
        "             live\n"
        "name  activations  fits\n"
        "a              12  yes\n");
  CHECK(render(document, {.format = Format::Markdown})
            .starts_with("| name | live activations | fits |\n"));
}

TEST_CASE("What all rows have alike stands above the table, unless it says nothing") {
  CHECK(render(ranks(2), {}) ==
        "all ranks: busy 20.000 µs, weight copies 2\n"
        "\n"
        "rank  live  words  end\n"
        "   0     2  w0     yes\n"
        "   1     1  w1     no\n");
  CHECK(render(with({.noun = "rank",
                     .columns = {{"rank"}, {"live"}},
                     .rows = {{{"rank", 0}, {"live", 4}}, {{"rank", 1}, {"live", 4}}}}),
               {}) == "all ranks: live 4\n");
}

TEST_CASE("Columns that are asked for by name or key are shown, and no others") {
  CHECK(render(ranks(1), {.columns = {"extra", "busy"}}) ==
        "rank       busy    extra\n"
        "   0  20.000 µs  50.00 %\n");
  const std::string all = render(ranks(2), {.columns = {"all"}});
  for (const char* word : {"drain", "memory", "copies", "extra", "unknown"})
    CHECK_MESSAGE(has(all, word), word);
  CHECK(!has(all, "all ranks"));
  try {
    render(ranks(1), {.columns = {"bussy"}});
    FAIL("a wrong name passes");
  } catch (const UnknownColumn& error) {
    CHECK(has(error.what(), "there is no column 'bussy'; did you mean 'busy'?"));
    CHECK(has(error.what(), "columns: rank, live, busy, drain, memory, copies, extra, words, end"));
  }
}

TEST_CASE("A long table is cut in its middle on a terminal alone") {
  const std::string cut = render(ranks(100), {.is_terminal = true});
  CHECK(has(cut, "\n  11    89  w11    no\n… 76 more ranks …\n  88    12  w88    yes\n"));
  CHECK(!has(render(ranks(100), {}), "more"));
  CHECK(!has(render(ranks(40), {.is_terminal = true}), "more"));
  CHECK(!has(render(ranks(100), {.format = Format::Markdown}), "more"));
}

TEST_CASE("A table that is too wide leaves out what need not be there") {
  const std::string text = render(ranks(2, 120), {});
  CHECK(has(text, "too wide, so left out: words (--columns shows them)\n"));
  CHECK(!has(text, "www"));
  CHECK(has(render(ranks(2, 120), {.format = Format::Markdown}), "www"));
}

TEST_CASE("Long cells and lines are wrapped on a terminal") {
  std::string words;
  for (int i = 0; i < 30; ++i)
    words += "word ";
  Document document = with({.columns = {{"n"}, {"words"}}, .rows = {{{"n", 1}, {"words", words}}}});
  document.verdict(words);
  const std::string text = render(document, {.is_terminal = true});
  CHECK(has(text, "\n1  word"));
  CHECK(has(text, "\n   word"));
  CHECK(has(text, "\n  word"));
  CHECK(!has(render(document, {}), "\n   word"));
}

TEST_CASE("Figures without a value have no line, and some are shown if they are asked for") {
  Document document;
  document.title("title");
  document.figures({{"step_time_ns", 10'000}, {"mfu", nullptr}, {"span_bubble", 0.25}},
                   {{{"step_time_ns"}, "last end − first start"},
                    {{"mfu", "MFU", percent}, "…"},
                    {{"span_bubble", "span_bubble", percent, Show::OnRequest}, "of a rank"}});
  document.line("a line");
  document.verdict("good");
  CHECK(render(document, {}) ==
        "title\n\n"
        "figure         value  meaning\n"
        "step time  10.000 µs  last end − first start\n\n"
        "a line\nverdict: good\n");
  CHECK(has(render(document, {.columns = {"span_bubble"}}), "\nspan_bubble  25.00 %  of a rank\n"));
  CHECK(has(render(document, {.format = Format::Markdown}), "## title\n\n| figure |"));
}

TEST_CASE("CSV quotes what RFC 4180 says must be quoted, and has no line breaks in a field") {
  const Json first = {{"plain", "a b"}, {"comma,key", "x,y"}, {"quote", "say \"hi\""},
                      {"line", "1\n2"}, {"none", nullptr},    {"number", 1.25}};
  Json second = first;
  second["plain"] = "µ";
  second["quote"] = true;
  CHECK(to_csv({first, second}) ==
        "plain,\"comma,key\",quote,line,none,number\r\n"
        "a b,\"x,y\",\"say \"\"hi\"\"\",1?2,,1.25\r\n"
        "µ,\"x,y\",true,1?2,,1.25\r\n");
}

TEST_CASE("Times of one column share the unit that suits the longest") {
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

TEST_CASE("Shares are shown in percent and sizes in binary units") {
  CHECK(format_percent(0) == "0.00 %");
  CHECK(format_percent(3.0 / 11) == "27.27 %");
  CHECK(format_percent(1.5) == "150.00 %");
  CHECK(short_percent(0.3203) == "32 %");
  CHECK(short_percent(0.0996) == "10 %");
  CHECK(short_percent(0.0144) == "1.4 %");
  CHECK(short_percent(0.0006) == "0.06 %");
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1024) == "1.0 KiB");
  CHECK(format_bytes(80'000'000'000) == "74.5 GiB");
  CHECK(format_bytes(9'000'000'000'000'000'000) == "7.8 EiB");
}

}  // namespace bubblescope

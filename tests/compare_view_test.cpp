// The views: tables as they are printed, and the verdict of a comparison.
#include "analysis/views/compare_view.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/views/simulate_view.h"
#include "tests/support/golden.h"

namespace bubblescope {
namespace {

using namespace std::chrono_literals;

/// What the figures of a made-up schedule derive from.
struct Figures {
  const char* schedule;
  Time step;
  Time busy;
  Time exposed = 0ms;
  int live = 4;
  int copies = 1;
  std::optional<Bytes> memory = {};
};

/// A quarter of it activations.
MemoryPeak peak_of(Bytes bytes) {
  return {.weights = bytes - bytes / 4,
          .activations = bytes / 4,
          .at = 3ms,
          .action = Op(OpKind::Forward, 0, 2)};
}

/// Two ranks that do the same.
Report make_report(const Figures& from) {
  const Time idle = from.step - from.busy;
  const auto ratio = [](Time part, Time whole) {
    return static_cast<double>(part.count()) / static_cast<double>(whole.count());
  };
  Report report{.schedule = from.schedule,
                .ranks = 2,
                .microbatches = 4,
                .chunks = 1,
                .step_time = from.step,
                .bubble_fraction = ratio(idle, from.step),
                .bubble_overhead = ratio(idle, from.busy),
                .span_bubble = ratio(idle, from.step),
                .peak_live_activations = from.live,
                .peak_activation_share = static_cast<double>(from.live),
                .peak_memory = from.memory,
                .weight_copies = from.copies};
  for (Rank rank = 0; rank < report.ranks; ++rank)
    report.per_rank.push_back(
        {.rank = rank,
         .busy = from.busy,
         .idle = idle,
         .span = from.step,
         .exposed_comm = from.exposed,
         .idle_by_cause = {Time(0), idle},
         .peak_live_activations = from.live - rank,
         .peak = from.memory ? std::optional(peak_of(*from.memory)) : std::nullopt});
  return report;
}

MemoryLimit live(int activations) {
  MemoryLimit limit;
  limit.live_activations = activations;
  return limit;
}

MemoryLimit bytes(Bytes size) {
  MemoryLimit limit;
  limit.bytes = size;
  return limit;
}

Comparison compare(const std::vector<Figures>& figures, MemoryLimit limit = {}) {
  Comparison comparison{.limit = limit};
  for (const Figures& each : figures)
    comparison.results.push_back(make_report(each));
  sort_best_first(comparison.results);
  return comparison;
}

std::string names(const Comparison& comparison) {
  std::string text;
  for (const Report& report : comparison.results)
    text += report.schedule + " ";
  return text;
}

Comparison sample() {
  Comparison comparison = compare({{"1f1b", 10'000us, 8'000us, 500us, 4, 1, 3'000'000'000},
                                   {"zb-h2", 8'400us, 8'000us, 500us, 7, 1, 5'000'000'000},
                                   {"dualpipe", 7'500us, 7'000us, 0us, 5, 2, 9'000'000'000}},
                                  {.bytes = 8'000'000'000});
  comparison.skipped.push_back({"zb-v", "it needs m ≥ 2p micro-batches"});
  return comparison;
}

}  // namespace

TEST_CASE("a comparison is printed as a table and in Markdown as the golden files show") {
  check_golden("compare.txt", compare_view(sample(), {Format::Table, Color::Off}));
  check_golden("compare.md", compare_view(sample(), {Format::Markdown, Color::On}));
}

TEST_CASE("the figures of a schedule are printed as the golden files show") {
  const Report report = make_report({"1f1b", 10'000us, 8'000us, 500us, 4, 1, 3'000'000'000});
  check_golden("simulate.txt", simulate_view(report, {}, {Format::Table, Color::Off}));
  check_golden("simulate.md", simulate_view(report, {}, {Format::Markdown, Color::On}));
}

TEST_CASE("colours mark the best that fits, and what does not fit, in tables only") {
  const std::string table = compare_view(sample(), {Format::Table, Color::On});
  CHECK(table.find("\x1b[2mdualpipe ") != table.npos);
  CHECK(table.find("\x1b[1;32mzb-h2 ") != table.npos);
  CHECK(table.find("\n1f1b ") != table.npos);
  for (const Format format : {Format::Json, Format::Csv, Format::Markdown})
    CHECK(compare_view(sample(), {format, Color::On}).find('\x1b') == std::string::npos);
}

TEST_CASE("stages that a rank holds are told where they are not one everywhere") {
  Comparison comparison = sample();
  CHECK(compare_view(comparison, {Format::Markdown, Color::Off}).find("| v |") ==
        std::string::npos);
  comparison.results.front().chunks = 2;
  const std::string text = compare_view(comparison, {Format::Markdown, Color::Off});
  CHECK(text.find("| v |") != std::string::npos);
  CHECK(text.find("| 2 |") != std::string::npos);
}

TEST_CASE("the best comes first and ties go to fewer activations, fewer copies, the order given") {
  CHECK(names(compare({{"c", 9ms, 5ms, 0ms, 5},
                       {"b", 9ms, 5ms, 0ms, 4, 2},
                       {"a", 9ms, 5ms},
                       {"first", 8ms, 5ms, 0ms, 99, 2},
                       {"again", 9ms, 4ms}})) == "first a again b c ");
}

TEST_CASE("With noise the median decides, and the verdict tells where it turns the order") {
  Comparison comparison = sample();
  for (Report& report : comparison.results) {
    const auto calm = static_cast<double>(report.step_time.count());
    const double stretch = report.schedule == "dualpipe" ? 1.5 : 1.1;
    report.noise = {.options = {.seed = 3, .samples = 50},
                    .step_time = {.p50 = calm * stretch, .p95 = calm * 1.6},
                    .bubble_fraction = {.p50 = 0.25}};
  }
  sort_best_first(comparison.results);
  CHECK(names(comparison) == "zb-h2 1f1b dualpipe ");
  const std::string table = compare_view(comparison, {Format::Table, Color::Off});
  CAPTURE(table);
  for (const char* part :
       {"2 ranks, 4 micro-batches, ideal communication; 50 steps with noise, seed 3",
        "zb-h2      8.400 ms   9.240 ms  13.440 ms   1.000 ",
        "dualpipe   7.500 ms  11.250 ms  12.000 ms   1.218 ",
        "verdict: zb-h2, 9.240 ms a step in the median with noise: 16 % less time than 1f1b, "
        "because a rank works 1.320 ms less"})
    CHECK_MESSAGE(table.find(part) != table.npos, "lacks: " << part);
  comparison.limit = {};
  CHECK(verdict(comparison).find("takes") == std::string::npos);
  comparison.results.erase(comparison.results.begin() + 1);
  CHECK(verdict(comparison)
            .find("18 % less time than dualpipe, which is faster without noise, because") !=
        std::string::npos);
}

TEST_CASE("the verdict names the best that fits, why, and what it costs") {
  struct Case {
    std::vector<Figures> figures;
    MemoryLimit limit;
    std::vector<std::string> says;
    std::vector<std::string> keeps_silent_about = {"copies"};
  };
  const Case cases[] = {
      {{{"a", 100ms, 80ms}},
       {},
       {"a, 100.000 ms", "4 live activations", "1 copy"},
       {"than", "less"}},
      {{{"a", 100ms, 80ms}, {"b", 100ms, 80ms, 0ms, 5}}, {}, {"a, ", "as fast as b"}, {"faster"}},
      {{{"a", 100ms, 80ms}, {"b", 125ms, 80ms}}, {}, {"20 % less time than b", "idles 25.000 ms"}},
      {{{"a", 100ms, 60ms}, {"b", 125ms, 85ms}}, {}, {"20 % less time than b", "works 25.000 ms"}},
      {{{"a", 100ms, 60ms}, {"b", 125ms, 85ms, 20ms}}, {}, {"exposes 20.000 ms"}},
      {{{"a", 100ms, 80ms, 0ms, 4, 2}, {"b", 110ms, 80ms, 0ms, 4, 2}, {"c", 125ms, 80ms}},
       {},
       {"a, ", "than b", "2 copies", "one copy is c, 25 % more time"},
       {}},
      {{{"a", 100ms, 80ms, 0ms, 5}, {"b", 125ms, 80ms}, {"c", 150ms, 80ms}},
       live(4),
       {"b, 125.000 ms", "17 % less time than c", "a takes 20 % less time but"}},
      {{{"a", 9ms, 8ms, 0ms, 5, 1, 81}, {"b", 10ms, 8ms, 0ms, 5, 1, 80}}, bytes(80), {"b, "}},
      {{{"a", 100ms, 80ms}, {"b", 90ms, 80ms, 0ms, 6}},
       live(3),
       {"none fits 3 live activations a rank: nearest is a with 4, 1 too many"},
       {"b"}},
      {{{"a", 100ms, 80ms}}, bytes(1), {"none fits 1 B a GPU: unknown, the costs give no sizes"}},
      {{{"a", 9ms, 8ms, 0ms, 5, 1, 120}, {"b", 10ms, 8ms, 0ms, 5, 1, 100}},
       bytes(80),
       {"nearest is b with 100 B, 20 B too much; beside the 75 B of weights on rank 0 there is "
        "room for 20 % of its activations, 25 B"},
       {"a, "}},
      {{{"a", 9ms, 8ms, 0ms, 5, 1, 100}},
       bytes(60),
       {"40 B too much; the weights of rank 0 alone take 75 B"}},
      {{}, {}, {"none", "shape"}},
  };
  for (const Case& each : cases) {
    const std::string text = verdict(compare(each.figures, each.limit));
    CAPTURE(text);
    for (const std::string& words : each.says)
      CHECK_MESSAGE(text.find(words) != text.npos, "lacks: " << words);
    for (const std::string& words : each.keeps_silent_about)
      CHECK_MESSAGE(text.find(words) == text.npos, "says: " << words);
  }
}

TEST_CASE("nothing to compare is a result too") {
  const Comparison nothing{.skipped = {{"zb-h2", "too few"}}};
  CHECK(compare_view(nothing, {Format::Table, Color::Off}).find("zb-h2: too few") !=
        std::string::npos);
  const auto json = nlohmann::json::parse(compare_view(nothing, {Format::Json, Color::Off}));
  CHECK(json["results"].empty());
  CHECK(json["skipped"][0]["reason"] == "too few");
}

}  // namespace bubblescope

// What the program prints, in each format.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/schedule/catalogue.h"
#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/json_shape.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"
#include "tests/support/trace_checker.h"

namespace bubblescope {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

void check_report(const json& report, std::size_t ranks) {
  check_shape(report, {{"schedule", 's'},
                       {"ranks", 'i'},
                       {"microbatches", 'i'},
                       {"chunks", 'i'},
                       {"comm", 's'},
                       {"step_time_ns", 'i'},
                       {"bubble_fraction", 'n'},
                       {"bubble_overhead", 'n'},
                       {"span_bubble", 'n'},
                       {"peak_live_activations", 'i'},
                       {"peak_activation_share", 'n'},
                       {"weight_copies", 'i'},
                       {"per_rank", 'a'}});
  REQUIRE(report["per_rank"].size() == ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const json& figures = report["per_rank"][rank];
    check_shape(figures, {{"rank", 'i'},
                          {"busy_ns", 'i'},
                          {"idle_ns", 'i'},
                          {"span_ns", 'i'},
                          {"exposed_comm_ns", 'i'},
                          {"idle_warm_up_ns", 'i'},
                          {"idle_dependency_ns", 'i'},
                          {"idle_imbalance_ns", 'i'},
                          {"idle_peer_ns", 'i'},
                          {"idle_queue_ns", 'i'},
                          {"idle_message_ns", 'i'},
                          {"idle_contention_ns", 'i'},
                          {"idle_drain_ns", 'i'},
                          {"peak_live_activations", 'i'}});
    CHECK(keys(figures).size() == 19);
    CHECK(figures.contains("peak_memory_bytes"));
    CHECK(figures["rank"] == rank);
  }
}

/// The lines of RFC 4180, which end in CRLF.
std::vector<std::string> csv_lines(const std::string& text) {
  std::vector<std::string> all = lines(text);
  for (std::string& line : all) {
    CHECK(line.ends_with('\r'));
    line.pop_back();
  }
  return all;
}

std::string joined_keys(const ordered_json& object, const std::string& but = "") {
  std::string text;
  for (const auto& [key, value] : object.items())
    if (key != but)
      text += (text.empty() ? "" : ",") + key;
  return text;
}

TEST_CASE("--help explains each subcommand with examples that work") {
  const TemporaryFolder folder;
  for (const char* name : {"mine.csv", "my_schedule.csv", "my_schedule_with_messages.csv"})
    std::ofstream(folder / name) << (std::string_view(name) == "my_schedule_with_messages.csv"
                                         ? "0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n"
                                         : "0F0,0B0\n1F0,1B0\n");
  for (const std::string command :
       {"", "schedules ", "order ", "check ", "simulate ", "compare "}) {
    const std::string help = output(command + "--help");
    CHECK(has(help, "Example"));
    CHECK(output(command + "-h") == help);
    std::vector<std::string> examples;
    bool goes_on = false;
    for (const std::string& line : lines(help)) {
      if (goes_on)
        examples.back() += "\n" + line;
      else if (line.starts_with("  bubblescope "))
        examples.push_back(line);
      goes_on = (goes_on || line.starts_with("  bubblescope ")) && line.ends_with('\\');
    }
    CHECK(!examples.empty());
    for (const std::string& example : examples) {
      const ProcessResult result =
          run_shell(example.substr(0, example.find('|')), {.folder = folder.path()});
      CHECK_MESSAGE(result.exit_code == 0, example << "\n" << result.err);
    }
  }
  for (const std::string name : {"schedules", "order", "check", "simulate", "compare"})
    CHECK(has(output("--help"), "\n  " + name));
}

TEST_CASE("--version tells the version, the commit and the compiler") {
  const std::string text = output("--version");
  const std::regex form(
      R"(bubblescope (\d+\.\d+\.\d+)((?:-\w+)?) )"
      R"(\(commit (unknown|([0-9a-f]{12})(?:-dirty)?), \S+ \d+[.\d]*(?:, \w+)?\)\n)");
  std::smatch parts;
  REQUIRE_MESSAGE(std::regex_match(text, parts, form), text);
  CHECK(has(contents(source_file("CMakeLists.txt")), "VERSION " + parts[1].str() + " "));
  CHECK(has(output("man"), "\"bubblescope " + parts[1].str() + parts[2].str() + "\""));
  const std::string git = "git -C '" + source_file("").string() + "' ";
  if (std::filesystem::exists(source_file(".git")) && run_shell(git + "status").exit_code == 0)
    CHECK(run_shell(git + "cat-file -e " + parts[4].str()).exit_code == 0);
  else
    CHECK(parts[3] == "unknown");
}

TEST_CASE("JSON has the keys that scripts rely on") {
  const json one = output_json(kGood);
  check_report(one, 4);
  CHECK(one["schedule"] == "1f1b");
  CHECK(one["comm"] == "ideal");
  CHECK(one["step_time_ns"] == 330'000);
  CHECK(one["per_rank"][0]["busy_ns"] == 240'000);
  CHECK(one["per_rank"][0]["peak_memory_bytes"].is_null());
  const json sized = output_json(kGood + " --activation 1MiB --weights 3MiB");
  CHECK(sized["per_rank"][0]["peak_memory_bytes"] == 7 << 20);
  const json many = output_json("compare -p 5 -m 12" + kCosts);
  CHECK(keys(many) ==
        std::set<std::string>{"format", "inputs", "results", "skipped", "verdict", "version"});
  REQUIRE(many["results"].size() + many["skipped"].size() == catalogue().size());
  for (const json& each : many["results"])
    check_report(each, 5);
  std::set<std::string> skipped;
  for (const json& each : many["skipped"])
    skipped.insert(each["schedule"]);
  CHECK(skipped == std::set<std::string>{"chimera", "dualpipe", "hanayo", "interleaved-1f1b",
                                         "interleaved-1f1b-overlap"});
  CHECK(keys(many["skipped"][0]) == std::set<std::string>{"schedule", "reason"});
  CHECK(has(many["skipped"].dump(), "p must be even"));
  CHECK(has(many["verdict"], many["results"][0]["schedule"].get<std::string>()));
}

TEST_CASE("CSV has a header of the JSON keys and one row a rank or schedule") {
  const auto simulated = csv_lines(output(kGood + " --format csv"));
  const ordered_json one = ordered_json::parse(output(kGood + " --format json"));
  REQUIRE(simulated.size() == 1 + 4);
  CHECK(simulated[0] == joined_keys(one["per_rank"][0]));
  const std::string more = kGood + " --jitter 5% --samples 10 --grad-reduce 5us --format ";
  const auto rows = csv_lines(output(more + "csv"));
  const ordered_json all = ordered_json::parse(output(more + "json"));
  CHECK(rows[0] == joined_keys(all["per_rank"][0]));
  for (std::size_t rank = 0; rank < 4; ++rank) {
    const ordered_json& each = all["per_rank"][rank];
    CHECK(each["critical_share"] == all["noise"]["critical_share"][rank]);
    CHECK(each["reduced_ns"] > 0);
    CHECK(each["optimized_ns"] == all["iteration_time_ns"]);
  }
  CHECK(simulated[1] == "0,240000,90000,330000,0,0,90000,0,0,0,0,0,0,4,,,,,");
  const auto compared = csv_lines(output(kCompare + kCosts + " --format csv"));
  const ordered_json many = ordered_json::parse(output(kCompare + kCosts + " --format json"));
  REQUIRE(compared.size() == 1 + many["results"].size());
  CHECK(compared[0] == joined_keys(many["results"][0], "per_rank"));
  const auto listed = csv_lines(output("schedules --format csv"));
  REQUIRE(listed.size() == 1 + catalogue().size());
  CHECK(has(listed[2], "\"min(p, m)\""));
}

TEST_CASE("tables have a line a rank or schedule, and Markdown has rules") {
  const std::string table = output(kGood);
  CHECK(has(table, "1f1b: 4 ranks, 8 micro-batches"));
  CHECK(has(output("simulate 1f1b -p 1 -m 1" + kCosts), "1f1b: 1 rank, 1 micro-batch, ideal"));
  CHECK(has(table, "27.27 %"));
  for (const std::string& line : {kGood, kCompare + kCosts, std::string("schedules")})
    CHECK(has(output(line + " --format md"), "| ---"));
  const std::string listed = output("schedules --columns all");
  for (const CatalogueEntry& entry : catalogue())
    CHECK(has(line_of(listed, std::string(entry.name)), std::string(entry.source)));
}

TEST_CASE("Columns are shown by name, and a wrong name lists those there are") {
  const std::string line = kCompare + kCosts;
  CHECK(!has(output(line), "overhead"));
  const std::string chosen = output(line + " --columns bubble_overhead,mfu --format md");
  CHECK(has(chosen, "| schedule | bubble overhead | MFU |"));
  CHECK(has(output(line + " --columns all"), "overhead"));
  CHECK(has(output(kGood + " --columns span_bubble"), "\nspan_bubble  27.27 %  "));
  for (const std::string unknown : {"mfu", "iteration_time"})  // of these costs
    for (const std::string format : {"table", "md"})
      CHECK(run(kGood + " --columns " + unknown + " --format " + format).exit_code == 0);
  const ProcessResult wrong = run(line + " --columns bubble_overhed");
  CHECK(wrong.exit_code == kUsage);
  CHECK(has(wrong.err, "there is no column 'bubble_overhed'; did you mean 'bubble_overhead'?"));
  CHECK(has(wrong.err, "columns: schedule, step_time, "));
  CHECK(run(line + " --columns mfu --format csv").exit_code == kUsage);
}

TEST_CASE("Many ranks are cut on a terminal, and whole elsewhere") {
  const TemporaryFolder folder;
  const std::string line = "simulate 1f1b -p 64 -m 64" + kCosts;
  CHECK(!has(output(line), "more ranks"));
  if (!has_terminals()) {
    MESSAGE("skipped: no pseudo-terminal can be opened here");
    return;
  }
  CHECK(has(run(line, {.terminal = true}).out, "… 40 more ranks …"));
  CHECK(run(line + " -o out", {.folder = folder.path(), .terminal = true}).exit_code == 0);
  CHECK(contents(folder / "out") == output(line));
}

TEST_CASE("the same input gives the same bytes, also in a file, also compressed") {
  const TemporaryFolder folder;
  for (const std::string& line :
       {kGood, kGood + " --format csv", kCompare + kCosts + " --format json",
        std::string("order zb-h1 -p 4 -m 8 --to json"), std::string("schedules --format md")}) {
    const std::string printed = output(line);
    CHECK(output(line) == printed);
    CHECK(output(line + " -o -") == printed);
    for (const std::string file : {"out", "out.gz"}) {
      const ProcessResult result =
          run(line + " --color always --output " + file, {.folder = folder.path()});
      CHECK(result.exit_code == 0);
      CHECK(result.out == "");
      CHECK(inflated(folder / file) == printed);
    }
    CHECK(contents(folder / "out") == printed);
    CHECK(contents(folder / "out.gz").starts_with("\x1f\x8b"));
  }
  CHECK(folder.listing() == "out out.gz");
}

TEST_CASE("a hostile name is made printable in a file of CSV as on stdout") {
  const TemporaryFolder folder;
  const ProcessOptions here = {.folder = folder.path()};
  const std::string program = "\x1b[31mX.csv";
  folder.write(program, "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  const std::string line =
      "compare --schedules 1f1b --format csv" + kCosts + " --program " + program;
  const std::string shown = output(line, here);
  CHECK(has(shown, "?[31mX"));
  CHECK(run(line + " -o out.csv", here).exit_code == 0);
  CHECK(contents(folder / "out.csv") == shown);
}

TEST_CASE("colours are for terminals, and --color decides") {
  if (!has_terminals()) {
    MESSAGE("skipped: no pseudo-terminal can be opened here");
    return;
  }
  struct Case {
    const char* option;
    bool terminal;
    const char* no_color;
    bool coloured;
  };
  const Case cases[] = {{"", false, nullptr, false},
                        {"", true, nullptr, true},
                        {"", true, "1", false},
                        {"", true, "", true},
                        {" --color always", false, "1", true},
                        {" --color never", true, nullptr, false},
                        {" --color auto", true, nullptr, true}};
  for (const Case& each : cases) {
    ProcessOptions options = {.terminal = each.terminal};
    if (each.no_color != nullptr)
      options.environment["NO_COLOR"] = each.no_color;
    const ProcessResult result = run(kGood + each.option, options);
    INFO("case " << (&each - cases));
    CHECK(result.exit_code == 0);
    CHECK(has(result.out, "\x1b[") == each.coloured);
  }
  for (const std::string format : {"json", "csv", "md"})
    CHECK(!has(output(kGood + " --color always --format " + format), "\x1b"));
}

}  // namespace
}  // namespace bubblescope

// Published tables: ours come out as recorded, differ for a reason, and are seen to move.
#include "tests/support/published.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/views/published_view.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/command.h"
#include "tests/support/golden.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

using nlohmann::json;

std::string path_of(std::string_view name) {
  return "data/published/" + std::string(name) + ".json";
}

json text_of(std::string_view name) {
  return json::parse(contents(source_file(path_of(name))));
}

/// Those that need no search; tests/zero_bubble_table_test.cpp has the others.
std::vector<std::string> quick_tables() {
  std::vector<std::string> names;
  for (const Reproduction& each : reproductions())
    if (!each.name.starts_with("zero-bubble"))
      names.emplace_back(each.name);
  return names;
}

PublishedTable computed(const json& text) {
  PublishedTable table = parse_published(text.dump(), "mine.json");
  TableInputs inputs = {cost_table};
  reproduce(table, inputs);
  return table;
}

std::string complaint(const json& text) {
  return error_of([&] { computed(text); });
}

/// A file that is removed with it.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& text) { std::ofstream(path) << text; }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path = (std::filesystem::temp_directory_path() /
                      ("bubblescope-published-" + std::to_string(getpid()) + ".json"))
                         .string();
};

}  // namespace

TEST_CASE("Every table of data/published is computed and every computed table is there") {
  std::set<std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(source_file("data/published")))
    if (file.path().extension() == ".json")
      files.insert(file.path().stem().string());
  std::set<std::string> names;
  for (const Reproduction& each : reproductions()) {
    names.emplace(each.name);
    CHECK(published_table(path_of(each.name)).name == each.name);
  }
  names.emplace("measured");  // runs, and no table of figures
  CHECK(files == names);
}

TEST_CASE("Published tables come out as recorded") {
  for (const std::string& name : quick_tables()) {
    CAPTURE(name);
    const PublishedTable table = computed(text_of(name));
    for (const PublishedRow& row : table.rows)
      for (std::size_t i = 0; i < table.columns.size(); ++i) {
        CAPTURE(row.name);
        CAPTURE(table.columns[i].name);
        CAPTURE(row.figures[i].ours);
        CHECK(!has_moved(row.figures[i], table.columns[i]));
      }
  }
}

TEST_CASE("What differs from a published value has a reason and no reason is idle") {
  for (const Reproduction& each : reproductions()) {
    PublishedTable table = published_table(path_of(each.name));
    CAPTURE(each.name);
    std::set<std::string> used;
    std::set<std::string> given;
    for (PublishedRow& row : table.rows)
      for (std::size_t i = 0; i < table.columns.size(); ++i) {
        row.figures[i].ours = row.figures[i].recorded;
        const std::string& why = reason(row, table.columns[i]);
        given.insert(why);
        if (agrees(row.figures[i], table.columns[i]))
          continue;
        CAPTURE(row.name);
        CAPTURE(table.columns[i].name);
        CHECK(!why.empty());
        used.insert(why);
      }
    given.erase("");
    CHECK(given == used);
  }
}

TEST_CASE("DualPipe's README is evaluated as its formulas say") {
  for (const PublishedRow& row : published_table(path_of("dualpipe-readme")).rows) {
    CAPTURE(row.name);
    const std::string schedule = row.setting["schedule"];
    const double stages = row.setting["stages"];
    const double f = row.setting["forward_us"];
    const double w = row.setting["weight_grad_us"];
    const double b = row.setting["input_grad_us"].get<double>() + w;
    const double pair = row.setting["overlapped_us"];
    const bool dual = schedule.starts_with("dualpipe");
    const double bubble = schedule == "1f1b"          ? (stages - 1) * (f + b)
                          : schedule == "zb-h1-paper" ? (stages - 1) * (f + b - 2 * w)
                                                      : (stages / 2 - 1) * (pair + b - 3 * w);
    CHECK(row.figures[0].published == bubble);
    CHECK(row.figures[1].published == (dual ? 2 : 1));
    CHECK(row.figures[2].published == stages + (dual ? 1 : 0));
  }
}

TEST_CASE("Formulas of Megatron-LM and Controllable Memory are evaluated as they stand") {
  for (const PublishedRow& row : published_table(path_of("megatron-interleaved")).rows)
    for (int v = 1; v <= 4; ++v)
      CHECK(row.figures[static_cast<std::size_t>(v - 1)].published ==
            doctest::Approx((row.setting["ranks"].get<double>() - 1) / v /
                            row.setting["microbatches"].get<double>())
                .epsilon(1e-5));
  for (const PublishedRow& row : published_table(path_of("controllable-memory")).rows) {
    const int p = row.setting["ranks"];
    CHECK(row.figures[0].published == (p + 4) / 3);
    CHECK(row.figures[1].published == (p + 2) / 2);
    CHECK(row.figures[2].published == p);
  }
  const auto file = reference("published/cm_paper_2405.15362.json");
  if (file.empty())
    return;
  const json paper = json::parse(contents(file));
  CHECK(paper["hf_space"]["V-Min_peak_microbatches"] == "(p+4)//3");
  CHECK(paper["hf_space"]["V-Half"] == "(p+2)//2");
  CHECK(paper["table1_asymptotic"]["V-Min"]["peak"] == "M/3");
  CHECK(paper["table1_asymptotic"]["V-Half"]["peak"] == "M/2");
  CHECK(paper["table1_asymptotic"]["V-Min"]["bubbles"] == "~4d");
  CHECK(paper["table1_asymptotic"]["V-Half"]["bubbles"] == "~3d");
}

TEST_CASE("Peaks of Zero Bubble's table 4 and its models are those of the reference") {
  const auto file = reference("published/zb_paper_2401.10241.json");
  if (file.empty())
    return;
  const json paper = json::parse(contents(file));
  const PublishedTable table = published_table(path_of("zero-bubble-memory"));
  const char* const titles[] = {"1F1B", "1F1B-I", "ZB-1p", "ZB-2p"};
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const json& setting = table.rows[i].setting;
    const json& model = paper["models"][table.rows[i].name];
    CAPTURE(table.rows[i].name);
    for (const auto& [ours, theirs] : {std::pair("layers", "layers"),
                                       {"heads", "heads"},
                                       {"hidden", "hidden"},
                                       {"sequence", "seq"},
                                       {"microbatch_size", "mbs"},
                                       {"ranks", "p"}})
      CHECK(setting[ours] == model[theirs]);
    for (std::size_t column = 0; column < 4; ++column)
      for (std::size_t each = 3 * i; each < 3 * i + 3; ++each)
        CHECK(paper["table4_memory_GB"][titles[column]][each] ==
              table.rows[i].figures[column].published);
  }
}

TEST_CASE("A value that moves is seen in every table that is quick") {
  for (const std::string& name : quick_tables()) {
    CAPTURE(name);
    json text = text_of(name);
    const int digits = text["columns"][1]["digits"].get<int>() + 2;
    json& recorded = text["rows"][0]["ours"][1];
    recorded = recorded.get<double>() + std::pow(10.0, -digits);
    const std::vector<PublishedTable> tables = {computed(text)};
    CHECK(count(tables).moved == 1);
    CHECK(has(published_view(tables, {Format::Table, Color::Off}), "\nmoved: "));
    CHECK(has(verdict(count(tables)), "; 1 moved"));
  }
}

TEST_CASE("Faults of a published table are told with their place") {
  const json good = text_of("megatron-interleaved");
  const auto fault = [&](const char* pointer, const json& value) {
    json text = good;
    text[json::json_pointer(pointer)] = value;
    return complaint(text);
  };
  CHECK(complaint(good).empty());
  CHECK(has(fault("/format", "x/1"), "mine.json: /format: expected \"bubblescope-published/1\""));
  CHECK(has(fault("/name", "megatron-interleavd"), "did you mean 'megatron-interleaved'?"));
  CHECK(has(fault("/reasons", 1), "mine.json: /reasons: "));
  CHECK(has(fault("/columns/0/digits", 7), "/columns/0/digits: at most 6"));
  CHECK(has(fault("/columns/0/name", "v=x"), "table megatron-interleaved has no column 'v=x'"));
  CHECK(has(fault("/columns/0/name", "v=0"), "has no column 'v=0'"));
  CHECK(has(fault("/rows/0/ours", json::array({1})), "/rows/0/ours: expected one number, or 4"));
  CHECK(has(fault("/rows/0/published/2", "a"), "/rows/0/published/2: expected a number"));
  CHECK(has(fault("/rows/1/setting/rank", 4), "/rows/1/setting/rank: "));
  CHECK(has(fault("/rows/1/setting/ranks", -4), "/rows/1/setting/ranks: expected a number ≥ 0"));
  CHECK(has(fault("/rows/1/setting/ranks", 0), "/rows/1/setting/ranks: expected a whole number"));
  CHECK(has(fault("/rows/1/setting/ranks", 1e9), "/rows/1/setting/ranks: expected a whole number"));
}

TEST_CASE("Published tables are printed as they always were") {
  json text = text_of("dualpipe-readme");
  text["rows"][0]["ours"][0] = 209;
  const std::vector<PublishedTable> tables = {computed(text),
                                              computed(text_of("controllable-memory"))};
  check_golden("reproduce.txt", published_view(tables, {Format::Table, Color::Off}));
  check_golden("reproduce.md", published_view(tables, {Format::Markdown, Color::Off}));
  const json all = json::parse(published_view(tables, {Format::Json, Color::Off}));
  CHECK(all["moved"] == 1);
  CHECK(all["values"] == 14 * 3 + 6 * 6);
  const json& figure = all["tables"][0]["figures"][0];
  CHECK(figure["published"] == 210);
  CHECK(figure["ours"] == 210);
  CHECK(figure["recorded"] == 209);
  CHECK(figure["moved"] == true);
  CHECK(figure["agrees"] == true);
  CHECK(figure["reason"].is_null());
  const json& other = all["tables"][0]["figures"][36];
  CHECK(other["deviation"] == -3);
  CHECK(has(other["reason"], "F = I"));
  CHECK(lines(published_view(tables, {Format::Csv, Color::Off})).size() == 1 + 14 * 3 + 6 * 6);
}

TEST_CASE("reproduce fails when a value moves and names what there is") {
  CHECK(has(output("reproduce dualpipe-readme"), "; none has moved\n"));
  CHECK(has(output("reproduce controllable-memory --format csv"),
            "table,row,column,unit,published,ours,recorded,deviation,relative_deviation,agrees,"
            "moved,reason\r\n"));
  const ProcessResult wrong = run("reproduce dualpipe-radme");
  CHECK(wrong.exit_code == kUsage);
  CHECK(has(wrong.err, "did you mean 'dualpipe-readme'?"));
  CHECK(has(wrong.err, "names: "));
  CHECK(run("reproduce missing.json").exit_code == kBadInput);

  json text = text_of("megatron-interleaved");
  const TemporaryFile same(text.dump());
  CHECK(run("reproduce " + same.path).exit_code == 0);
  CHECK(run("reproduce " + same.path + " -o " + same.path).exit_code == kUsage);
  text["rows"][2]["setting"]["microbatches"] = 24;
  const TemporaryFile moved(text.dump());
  const ProcessResult result = run("reproduce " + moved.path);
  CHECK(result.exit_code == kCheckFailed);
  CHECK(has(result.out, "moved: p=8 m=8, v=1: 29.1667 %, recorded as 87.5000 %\n"));
}

}  // namespace bubblescope

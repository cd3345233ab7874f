// Text from outside that would steer a terminal, forge a line, or is no UTF-8.
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/views/document.h"
#include "sim/base/json_text.h"
#include "sim/base/printable.h"
#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"
#include "tests/support/trace_checker.h"

namespace bubblescope {
namespace {

using nlohmann::json;

/// Sets a title, colours, in eight bits too, ends a line and turns the next one's direction.
const std::string kHostile =
    "\x1b]0;title\x07\x1b[31mX\xc2\x9b"
    "31m\r\nverdict: forged \xe2\x80\xae";

/// Neither a control character nor a line that comes from `kHostile`, but in a field of CSV, where
/// a quoted line break is one of the name's.
void check_harmless(const std::string& text) {
  for (std::string line : lines(text)) {
    const bool is_csv = line.ends_with('\r');
    if (is_csv)
      line.pop_back();
    CHECK_MESSAGE((is_csv || !line.starts_with("verdict: forged")), line);
    CHECK_MESSAGE(printable(line) == line, line);
  }
}

void check_words(const std::vector<std::string>& words, int exit_code,
                 const ProcessOptions& options) {
  const ProcessResult result = run_program(words, options);
  CAPTURE(words.back());
  CHECK_MESSAGE(result.exit_code == exit_code, result.err);
  check_harmless(result.out);
  check_harmless(result.err);
}

/// `line` and a word that has blanks or line breaks.
std::vector<std::string> with(const std::string& line, const std::string& word) {
  std::vector<std::string> all = words(line);
  all.push_back(word);
  return all;
}

json cost_file(const json& phase_name = nullptr) {
  json stage = {{"forward_us", 1}, {"input_grad_us", 1}, {"weight_grad_us", 1}};
  if (!phase_name.is_null()) {
    stage = {{"layers", 1}, {"phases", json::array()}};
    for (const char* of : {"F", "I", "W"})
      stage["phases"].push_back({{"name", std::string(of) == "F" ? phase_name : json(of)},
                                 {"of", of},
                                 {"stream", "compute"},
                                 {"elapsed_us", 1}});
  }
  return {{"format", "bubblescope-costs/1"},
          {"name", "n"},
          {"source", kHostile},
          {"stage", std::move(stage)}};
}

json timeline(const std::string& schedule) {
  json file = {{"format", "bubblescope-timeline/1"},
               {"schedule", schedule},
               {"ranks", 1},
               {"microbatches", 1},
               {"comm", "ideal"}};
  file["actions"] = {{{"rank", 0}, {"action", "0F0"}, {"start_ns", 0}, {"end_ns", 9}},
                     {{"rank", 0}, {"action", "0B0"}, {"start_ns", 9}, {"end_ns", 29}}};
  return file;
}

template <typename Change>
json changed(json file, const Change& change) {
  change(file);
  return file;
}

}  // namespace

TEST_CASE("What may not stand on a terminal becomes one sign a character") {
  CHECK(printable("Größe µ, ≥ 2 🙂") == "Größe µ, ≥ 2 🙂");
  CHECK(printable("a\tb\nc\x7f\xc2\x85") == "a?b?c??");
  CHECK(printable("\xe2\x80\xae|\xe2\x81\xa6|\xe2\x80\xa8") == "?|?|?");
  CHECK(printable("\xd8\x9c|\xe2\x80\x8e|\xe2\x80\x8f") == "?|?|?");  // marks of direction
  CHECK(printable("\xff|\xc3|\xe2\x82") == "?|?|??");
  CHECK(printable("\xe0\x80\x9b|\xc0\x9b") == "???|??");  // an escape in longer forms
  CHECK(on_terminal("a\r\nb\rc\x1b[1;32md\x1b[0m\x1b[31m\n") ==
        "a\r\nb?c\x1b[1;32md\x1b[0m?[31m\n");
}

TEST_CASE("JSON that is written has no control characters and is UTF-8") {
  const std::string del = "\x7f\xc2\x9b\x1b";
  const std::string text = dump_json(json{{"name", del}});
  CHECK(!has_unprintable(text));
  CHECK(json::parse(text)["name"] == del);
  CHECK(dump_json(json("µ")) == "\"µ\"");
  CHECK(json::parse(dump_json(json("a\xff"))) == "a\xef\xbf\xbd");
}

TEST_CASE("A table's cells and headers stay in their lines") {
  Document document;
  document.table({.columns = {{"na\x1bme"}}, .rows = {{{"na\x1bme", kHostile}}}});
  for (const Format format : {Format::Table, Format::Markdown}) {
    const std::string text = render(document, {.format = format});
    check_harmless(text);
    CHECK(has(text, "na?me"));
  }
}

TEST_CASE("No input that is refused reaches the terminal as it is") {
  const TemporaryFolder folder;
  const ProcessOptions here{.folder = folder.path()};
  const json good = cost_file();
  const auto set = [&](const json::json_pointer& place) {
    return [place](json& file) { file[place] = kHostile; };
  };
  const std::string costs = kSimulate + " --costs x.json";
  const std::string model = "costs -p 2 --hardware h800 --model x.json";
  const std::string hardware = "costs -p 2 --model deepseek-v3 --hardware x.json";
  struct Case {
    std::string line;
    json file;
  };
  const std::vector<Case> cases = {
      {costs, changed(good, set("/format"_json_pointer))},
      {costs, changed(good, [](json& file) { file[kHostile] = 1; })},
      {costs, changed(good, [](json& file) { file["stage"][kHostile] = 1; })},
      {costs, changed(cost_file("n"), set("/stage/phases/0/of"_json_pointer))},
      {model, {{"format", kHostile}}},
      {model,
       {{"hidden_size", 512},
        {"num_hidden_layers", 8},
        {"intermediate_size", 1024},
        {"vocab_size", 1000},
        {"num_attention_heads", 8},
        {"hidden_act", kHostile}}},
      {hardware, {{"format", kHostile}}},
      {"simulate 1f1b -p 2 -m 4 --profile x.json" + kCosts, {{"format", kHostile}}},
      {"replay 1f1b -p 2 -m 4 --profile x.json" + kCosts, {{"format", kHostile}}},
      {"check x.json", {{"format", kHostile}}},
      {"check x.json", {{kHostile, 1}}},
      {"calibrate x.json", changed(timeline("s"), set("/comm"_json_pointer))},
      {"calibrate x.json",
       changed(timeline("s"), [](json& file) { file["actions"][0][kHostile] = 1; })},
      {"reproduce x.json", {{"format", kHostile}, {kHostile, 1}}}};
  for (const Case& each : cases) {
    CAPTURE(each.line);
    folder.write("x.json", each.file.dump());
    const ProcessResult result = run(each.line, here);
    CHECK(result.exit_code != 0);
    CHECK_MESSAGE(is_one_message(result.err), result.err);
    check_harmless(result.out + result.err);
  }
}

TEST_CASE("No name, option, variable or line that is refused reaches the terminal as it is") {
  const TemporaryFolder folder;
  const ProcessOptions here{.folder = folder.path()};
  std::filesystem::create_directory(folder / "primus");
  folder.write("primus/config.json", R"({"pp_size": 1, "vpp_size": 1, "micro_batches": 1})");
  folder.write("primus/pp_rank_0.json", json{{kHostile, json::object()}}.dump());
  folder.write("factors.txt", "1.0\n" + kHostile + "\n");
  folder.write("options.toml", "[simulate]\nranks = '''" + kHostile + "'''\n");
  folder.write("keys.toml", "[simulate]\n\"\x1b[31m\" = 1\n");
  folder.write(kHostile, "{");
  check_words(words("calibrate primus"), kBadInput, here);
  check_words(words(kGood + " --noise-factors factors.txt"), kBadInput, here);
  check_words(words("simulate 1f1b -m 8 --config options.toml" + kCosts), kUsage, here);
  check_words(words("simulate 1f1b -m 8 --config keys.toml" + kCosts), kUsage, here);
  check_words(with("simulate", kHostile), kUsage, here);
  check_words({kHostile}, kUsage, here);
  check_words(with(kGood + " --format", kHostile), kUsage, here);
  for (const std::string line :
       {"simulate --program", "check", "analyze", "calibrate", "costs -p 2 --costs"})
    check_words(with(line, "./" + kHostile), kBadInput, here);
  check_words(with(kGood + " -o", "none/" + kHostile), kBadInput, here);
  ProcessOptions set = here;
  set.environment["BUBBLESCOPE_RANKS"] = kHostile;
  set.environment["BUBBLESCOPE_RANK\x1b[31m"] = "1";
  check_words(words("simulate 1f1b -m 8" + kCosts), kUsage, set);
}

TEST_CASE("No name that is shown reaches the terminal as it is") {
  const TemporaryFolder folder;
  const ProcessOptions here{.folder = folder.path()};
  const std::string program = kHostile + ".csv";
  folder.write(program, "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  folder.write("phases.json", cost_file(kHostile).dump());
  folder.write("timeline.json", timeline(kHostile).dump());
  folder.write(
      "trace.json",
      json::array({{{"ph", "M"},
                    {"name", "thread_name"},
                    {"pid", kHostile},
                    {"args", {{"name", kHostile}}}},
                   {{"ph", "X"}, {"name", kHostile}, {"pid", kHostile}, {"ts", 1}, {"dur", 2}}})
          .dump());
  for (const std::string format : {"table", "md", "csv", "json"}) {
    CAPTURE(format);
    const std::string as = " --format " + format;
    check_words(words("costs -p 2 --costs phases.json" + as), 0, here);
    check_words(words("calibrate timeline.json -o costs.json" + as), 0, here);
    check_words(words("analyze trace.json" + as), 0, here);
    for (const std::string& line :
         {"simulate" + kCosts + as + " --program", "explain" + kCosts + as + " --program",
          "compare --schedules 1f1b" + kCosts + as + " --program", "check" + as})
      check_words(with(line, program), 0, here);
    if (format != "md")
      check_words(
          with("compare --schedules 1f1b" + kCosts + " --vary p2p=0:5us" + as + " --program",
               program),
          0, here);
  }
}

TEST_CASE("A file's name that is no UTF-8 is no reason to fail") {
  const TemporaryFolder folder;
  const ProcessOptions here{.folder = folder.path()};
  const std::string program = "\xff\xfe.csv";
  CHECK(run("order 1f1b -p 2 -m 4 -o " + program, here).exit_code == 0);
  for (const std::string& line :
       {"simulate" + kCosts + " --format json --program ",
        "compare --schedules 1f1b" + kCosts + " --format json --program ",
        "explain" + kCosts + " --format json --program ", std::string("check --format json "),
        std::string("order --to json --program "),
        "replay" + kCosts + " --format json --program "}) {
    const ProcessResult result = run(line + program, here);
    CAPTURE(line);
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    CHECK(json::accept(result.out));
  }
  const std::string simulate = "simulate" + kCosts + " --program " + program;
  CHECK(run(simulate + " --trace t.json", here).exit_code == 0);
  CHECK(run(simulate + " --trace k --trace-flavour kineto", here).exit_code == 0);
  CHECK(json::accept(contents(folder / "t.json")));
  CHECK(json::accept(inflated(folder / "k/rank0.json.gz")));
}

}  // namespace bubblescope

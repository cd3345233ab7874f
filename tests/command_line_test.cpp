// The program as scripts see it: exit codes, messages, formats, files, and where options come from.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/schedules/catalogue.h"
#include "tests/support/command.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"
#include "tests/support/trace_checker.h"

namespace bubblescope {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

const std::string kCosts = " --forward 10us --input-grad 10us --weight-grad 10us";
const std::string kSimulate = "simulate 1f1b -p 4 -m 8";
const std::string kCompare = "compare -p 4 -m 8";
const std::string kGood = kSimulate + kCosts;

/// A cost file but for what follows "weight_grad_us".
const std::string kCostFile =
    R"({"format": "bubblescope-costs/1", "name": "n", "source": "s",)"
    R"( "stage": {"forward_us": 1, "input_grad_us": 1, "weight_grad_us": )";

std::string repeated(int times, const std::string& text) {
  std::string all;
  for (int i = 0; i < times; ++i)
    all += text;
  return all;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

/// The line of a table whose first cell is `name`.
std::string line_of(const std::string& table, const std::string& name) {
  for (const std::string& line : lines(table))
    if (line.starts_with(name + " "))
      return line;
  return "";
}

json output_json(const std::string& line) {
  return json::parse(output(line + " --format json"));
}

struct Failure {
  std::string line;
  std::vector<std::string> says;
};

/// One message, whose other lines, such as the names to choose from, are indented.
bool is_one_message(const std::string& text) {
  const std::vector<std::string> all = lines(text);
  return text.starts_with("bubblescope: ") && text.ends_with('\n') && all[0].size() < 400 &&
         std::all_of(all.begin() + 1, all.end(), [](auto& line) { return line.starts_with("  "); });
}

/// Runs it in `folder`, within 100 MB and a second; it must fail, say why and leave nothing.
void check_failure(const Failure& failure, int exit_code, const TemporaryFolder& folder,
                   ProcessOptions options = {}) {
  constexpr std::size_t kMostMemory = 100'000'000;
  constexpr std::chrono::seconds kLongest(1);
  options.folder = folder.path();
  options.address_space = kMostMemory;
  const std::string before = folder.listing();
  const ProcessResult result = run(failure.line, options);
  CAPTURE(failure.line);
  CAPTURE(result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.out == "");
  CHECK(is_one_message(result.err));
  for (const std::string& part : failure.says)
    CHECK_MESSAGE(has(result.err, part), "does not say: " << part);
  CHECK(folder.listing() == before);
  if (!kSanitized)
    CHECK(result.wall < kLongest);
}

void check_failures(const std::vector<Failure>& failures, int exit_code) {
  const TemporaryFolder folder;
  for (const Failure& failure : failures)
    check_failure(failure, exit_code, folder);
}

std::set<std::string> keys(const json& object) {
  std::set<std::string> result;
  for (const auto& [key, value] : object.items())
    result.insert(key);
  return result;
}

/// The kinds of JSON values by key: "i" whole number, "n" number, "s" text, "a" array.
void check_shape(const json& object, const std::vector<std::pair<std::string, char>>& shape) {
  for (const auto& [key, kind] : shape) {
    CAPTURE(key);
    REQUIRE(object.contains(key));
    const json& value = object[key];
    CHECK((kind == 'i'   ? value.is_number_integer()
           : kind == 'n' ? value.is_number()
           : kind == 's' ? value.is_string()
                         : value.is_array()));
  }
}

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

}  // namespace

TEST_CASE("a mistyped name is answered with the nearest one, exit code 2") {
  check_failures({{"simulat", {"'simulat'", "'simulate'"}},
                  {"simulate 1f1bb -p 4 -m 8" + kCosts, {"'1f1bb'", "'1f1b'", "zb-h2"}},
                  {"order dualpip -p 4 -m 8", {"'dualpipe'"}},
                  {kCompare + kCosts + " --schedules 1f1b,zbh1", {"'zbh1'", "'zb-h1'"}},
                  {kGood + " --formt json", {"--formt", "'--format'"}},
                  {kGood + " --colour=never", {"--colour", "'--color'"}},
                  {"order 1f1b -p 4 -m 8 --too json", {"'--to'"}},
                  {kSimulate + " --costs deepseek-v3-h80", {"'deepseek-v3-h800'"}},
                  {kGood + " --format jsn", {"--format", "'json'"}},
                  {kGood + " --color alway", {"--color", "'always'"}},
                  {kGood + " --comm idea", {"--comm", "'ideal'"}},
                  {kGood + " --cost-per stge", {"--cost-per", "'stage'"}},
                  {kGood + " --overlap givn", {"--overlap", "'given'"}},
                  {"order 1f1b -p 4 -m 8 --to jsn", {"--to", "'json'"}}},
                 kUsage);
}

TEST_CASE("an incomplete command line is told what it lacks, exit code 2") {
  check_failures({{"", {"subcommand"}},
                  {"-q", {"subcommand"}},
                  {"simulate", {"NAME"}},
                  {"order", {"NAME"}},
                  {"simulate 1f1b -m 8" + kCosts, {"-p/--ranks"}},
                  {"simulate 1f1b -p 4" + kCosts, {"-m/--microbatches"}},
                  {"order 1f1b -p 4", {"-m/--microbatches"}},
                  {"compare -m 8" + kCosts, {"-p/--ranks"}},
                  {kSimulate, {"--forward", "--costs"}},
                  {kCompare + " --forward 1us --weight-grad 1us", {"--input-grad"}},
                  {kSimulate + " --forward 1us --input-grad 1us", {"--weight-grad"}},
                  {kGood + " --format", {"--format"}},
                  {kGood + " --bandwidth 1GB/s", {"--message"}},
                  {kGood + " --message 1MiB", {"--bandwidth"}}},
                 kUsage);
}

TEST_CASE("what contradicts or is too much is refused, exit code 2") {
  check_failures({{kGood + " extra", {"'extra'"}},
                  {"simulate 1f1b -p 4 -p 5 -m 8" + kCosts, {"ranks"}},
                  {kSimulate + " --costs deepseek-v3-h800 --forward 1us", {"--forward", "--costs"}},
                  {kSimulate + " --costs deepseek-v3-h800 --p2p 1us", {"--p2p"}},
                  {kCompare + kCosts + " --memory-limit 80GB", {"--memory-limit", "sizes"}},
                  {kCompare + kCosts + " --schedules 1f1b,,gpipe", {"''"}},
                  {"schedules --ranks 4", {"--ranks"}}},
                 kUsage);
}

TEST_CASE("a shape that makes no sense is refused, exit code 2") {
  const auto shape = [](const std::string& text) { return "simulate 1f1b " + text + kCosts; };
  check_failures({{shape("-p 0 -m 8"), {"-p/--ranks", "'0'"}},
                  {shape("-p 4 -m 0"), {"-m/--microbatches", "'0'"}},
                  {shape("-p 4 -m 8 -v 0"), {"-v/--chunks", "'0'"}},
                  {shape("-p -4 -m 8"), {"-p/--ranks", "'-4'"}},
                  {shape("-p 4 -m eight"), {"-m/--microbatches", "'eight'"}},
                  {shape("-p 4.5 -m 8"), {"'4.5'"}},
                  {shape("-p 4 -m 1e3"), {"'1e3'"}},
                  {shape("-p 99999999999999999999 -m 8"), {"-p/--ranks"}},
                  {shape("-p 1 -m 1000000000"), {"too large", "3e+09"}},
                  {shape("-p 100000 -m 100000"), {"too large"}},
                  {"order gpipe -p 2000000000 -m 2000000000", {"too large"}},
                  {"compare -p 4 -m 8 -v 2000000000" + kCosts, {"too large"}},
                  {kCompare + kCosts + " --memory-limit 0", {"--memory-limit"}},
                  {kCompare + kCosts + " --memory-limit -3", {"--memory-limit"}},
                  {kCompare + kCosts + " --memory-limit 99999999999", {"--memory-limit"}}},
                 kUsage);
}

TEST_CASE("a cost that makes no sense is refused, exit code 2") {
  std::vector<Failure> failures;
  for (const std::string text : {"10", "us", "10US", "10us!", "-10us", "-0.1us", "nan", "nanus",
                                 "inf", "infs", "1e300s", "1e13us", "1e999us", "0x10us"})
    failures.push_back({kGood + " --p2p " + text, {"--p2p"}});
  for (const std::string text : {"1", "-1MB", "nanB", "1e300GB", "1MBit", "10000000TB"})
    failures.push_back({kGood + " --activation " + text, {"--activation"}});
  for (const std::string text : {"1GB", "0GB/s", "-1GB/s", "infB/s", "nanB/s", "1/s", "1e400B/s"})
    failures.push_back(
        {kGood + " --message 1MB --bandwidth " + text, {"--bandwidth", "got '" + text + "'"}});
  check_failures(failures, kUsage);
}

TEST_CASE("costs by hand so large that a step cannot be added up are refused, exit code 2") {
  check_failures(
      {{"simulate 1f1b -p 100 -m 100 --forward 1e6s --input-grad 1e6s --weight-grad 1e6s",
        {"too l"}},
       {"compare -p 100 -m 300 --forward 1e6s --input-grad 1s --weight-grad 1s", {"too l"}},
       {kGood + " --message 1000TB --bandwidth 1B/s", {"--message"}}},
      kUsage);
}

TEST_CASE("memory so large that it cannot be added up is refused") {
  check_failures({{kGood + " --activation 8000000TB --weights 1B", {}},
                  {"simulate dualpipe -p 2 -m 4 --activation 1B --weights 5000000TB" + kCosts, {}},
                  {"compare -p 4 -m 16 --activation 1000000TB --weights 1B" + kCosts, {}}},
                 kUsage);
  const TemporaryFolder folder;
  folder.write("huge.json",
               kCostFile + R"(1, "activation_bytes": 9000000000000000000, "weight_bytes": 1}})");
  check_failure({kSimulate + " --costs huge.json", {}}, kBadInput, folder);
}

TEST_CASE("a schedule that cannot have the shape says why and what fits, exit code 3") {
  check_failures({{"simulate dualpipe -p 5 -m 20" + kCosts, {"p must be even", "p=6, m=20"}},
                  {"simulate dualpipe -p 4 -m 7" + kCosts, {"m must be even", "p=4, m=8"}},
                  {"simulate dualpipe -p 4 -m 2" + kCosts, {"m ≥ 2p", "p=4, m=8"}},
                  {"order zb-h2 -p 4 -m 6", {"m ≥ 2p", "p=4, m=7"}},
                  {"order zb-h1-paper -p 4 -m 3", {"p=4, m=4"}},
                  {"order dualpipe -p 3 -m 12 -v 2", {"v = 1", "p=4, m=12, v=1"}},
                  {kGood + " -v 2", {"1f1b", "v = 1", "v=1"}}},
                 kBadInput);
}

TEST_CASE("a schedule too large for the memory is refused, exit code 3") {
  if (kSanitized)  // no limit can be set, and the machine may have the memory
    return;
  check_failures({{"simulate gpipe -p 26000 -m 26000" + kCosts, {"memory"}},
                  {"compare -p 26000 -m 26000" + kCosts, {"memory"}},
                  {"order gpipe -p 26000 -m 26000", {"memory"}},
                  {"simulate 1f1b -p 1000 -m 1000" + kCosts, {"memory"}}},
                 kBadInput);
}

TEST_CASE("a run whose messages contend is refused for less than one whose do not") {
  if (kSanitized)
    return;
  const double present =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  const auto microbatches = static_cast<std::int64_t>(present / (3 * 2) / 125);
  const ProcessResult result = run("simulate 1f1b -p 2 -m " + std::to_string(microbatches) +
                                   kCosts + " --message 1KB --ranks-per-node 1 --nic 1GB/s");
  CHECK(result.exit_code == kBadInput);
  CHECK_MESSAGE(has(result.err, "would need up to"), result.err);
}

TEST_CASE("a cost file that cannot be read is refused with its name and the place, exit code 3") {
  struct File {
    std::string name;
    std::string text;
    std::vector<std::string> says;
  };
  const File files[] = {
      {"empty.json", "", {"empty"}},
      {"cut.json", kCostFile, {"line 1"}},
      {"blank.json", "\n\n", {"line"}},
      {"array.json", "[]", {"expected an object"}},
      {"binary.json", std::string("\0\xff\xfe", 3), {"line 1"}},
      {"deep.json", repeated(100'000, "["), {"nested"}},
      {"deeper.json", repeated(100'000, "{\"a\":"), {"nested"}},
      {"unknown.json",
       kCostFile + R"(1, "weight_grd_us": 1}})",
       {"/stage/weight_grd_us", "'weight_grad_us'"}},
      {"twice.json", kCostFile + R"(1}, "name": "n"})", {"twice"}},
      {"missing.json", R"({"format": "bubblescope-costs/1"})", {"/name"}},
      {"text.json", kCostFile + R"("1us"}})", {"/stage/weight_grad_us", "number"}},
      {"negative.json", kCostFile + "-1}}", {"/stage/weight_grad_us", "-1"}},
      {"nan.json", kCostFile + "NaN}}", {"line 1"}},
      {"large.json", kCostFile + "1e300}}", {"/stage/weight_grad_us"}},
      {"overflow.json", kCostFile + "1e400}}", {"1e400"}},
      {"stages.json",
       R"({"format": "bubblescope-costs/1", "name": "n", "source": "s", "stages": [)"
       R"({"forward_us": 1, "input_grad_us": 1, "weight_grad_us": 1}]})",
       {"1 stages", "4"}},
  };
  const TemporaryFolder folder;
  for (const File& file : files) {
    folder.write(file.name, file.text);
    Failure failure = {kSimulate + " --costs " + file.name, file.says};
    if (file.name != "stages.json")  // whose fault is that it does not go with the schedule
      failure.says.push_back(file.name);
    check_failure(failure, kBadInput, folder);
  }
  check_failure({kSimulate + " --costs none.json", {"none.json", "No such file"}}, kBadInput,
                folder);
  check_failure({kSimulate + " --costs .", {"directory"}}, kBadInput, folder);
}

TEST_CASE("a cost file so large that a step cannot be added up is refused, exit code 3") {
  const TemporaryFolder folder;
  folder.write("huge.json", kCostFile + "1e12}}");
  check_failure({"simulate 1f1b -p 50 -m 100 --costs huge.json", {"too l"}}, kBadInput, folder);
}

TEST_CASE("an output that cannot be written is told, and nothing is left, exit code 3") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "folder");
  for (const std::string option : {"-o ", "--trace "})
    for (const auto& [path, says] : {std::pair<std::string, std::string>("/dev/full", "space"),
                                     {"none/out.json", "No such file"},
                                     {"none/out.json.gz", "No such file"},
                                     {"folder", "directory"}})
      check_failure({kGood + " " + option + path, {path, says}}, kBadInput, folder);
  for (const std::string& line :
       {kGood, kCompare + kCosts, std::string("schedules"), std::string("order 1f1b -p 4 -m 8"),
        std::string("--help"), std::string("simulate --help"), std::string("--version")})
    check_failure({line, {"space"}}, kBadInput, folder, {.stdout_path = "/dev/full"});
}

TEST_CASE("a file that cannot be written whole is left as it was") {
  for (const std::string name : {"trace.json", "trace.json.gz"}) {
    const TemporaryFolder folder;
    folder.write(name, "old");
    const ProcessResult result =
        run_shell("trap '' XFSZ; ulimit -f 1; exec bubblescope simulate 1f1b -p 64 -m 64" + kCosts +
                      " --trace " + name,
                  {.folder = folder.path()});
    CAPTURE(result.err);
    CHECK(result.exit_code == kBadInput);
    CHECK(is_one_message(result.err));
    CHECK(folder.listing() == name);
    CHECK(contents(folder / name) == "old");
  }
}

TEST_CASE("a folder that cannot be written to is told, exit code 3") {
  if (geteuid() == 0) {
    MESSAGE("skipped: root may write anywhere");
    return;
  }
  const TemporaryFolder folder;
  std::filesystem::permissions(
      folder.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  for (const std::string option : {" -o out", " --trace out.json"})
    check_failure({kGood + option, {"Permission denied"}}, kBadInput, folder);
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
}

TEST_CASE("A program stands in compare as what it is by name, channels and all") {
  const TemporaryFolder folder;
  const std::string csv = (folder / "mine.csv").string();
  run("order interleaved-1f1b -p 4 -m 8 --to torch-comms -o " + csv);
  const std::string costs = " --forward 10us --input-grad 10us --weight-grad 10us --p2p 5us";
  for (const std::string channels : {"rank", "pair", "direction"}) {
    const json compared =
        output_json("compare --program " + csv +
                    " --schedules interleaved-1f1b --comm torch --channels " + channels + costs);
    REQUIRE(compared["results"].size() == 2);
    CHECK(compared["results"][0]["step_time_ns"] == compared["results"][1]["step_time_ns"]);
    CHECK(compared["results"][0]["channels"] == channels);
    const json alone = output_json("simulate --program " + csv + " --channels " + channels + costs);
    CHECK(alone["step_time_ns"] == compared["results"][0]["step_time_ns"]);
  }
}

TEST_CASE("What a program cannot be asked is a usage error, a deadlock bad input") {
  const TemporaryFolder folder;
  const std::string csv = (folder / "mine.csv").string();
  const std::string hang = source_file("data/programs/deadlock.csv").string();
  run("order 1f1b -p 4 -m 8 --to torch-comms -o " + csv);
  const std::string costs = " --forward 10us --input-grad 10us --weight-grad 10us";
  const std::vector<Failure> failures = {
      {"order 1f1b -p 2 -m 2 --dialect pre-2.6", {"--dialect is for --program"}},
      {"order 1f1b --program " + csv, {"do not go together"}},
      {"order", {"NAME", "--program"}},
      {"order --program " + csv + " -p 8", {"has 4"}},
      {"order --program " + csv + " --to json --comm batched", {"messages of its own"}},
      {"simulate --program " + csv + costs + " --channels pairs", {"pair"}},
      {"compare --program " + csv + " --schedules 1f1b --dialect old" + costs, {"--dialect"}}};
  for (const Failure& failure : failures)
    check_failure(failure, kUsage, folder);
  check_failure({"simulate --program " + hang + costs, {"wait for one another in a circle"}},
                kBadInput, folder);
  CHECK(run("check " + hang).exit_code == kBadInput);
  CHECK(run("check " + csv).exit_code == 0);
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

TEST_CASE("--version tells name and version") {
  const std::string version = output("--version");
  CHECK(version.starts_with("bubblescope "));
  CHECK(has(contents(source_file("CMakeLists.txt")),
            "VERSION " + version.substr(12, version.size() - 13)));
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
  CHECK(keys(many) == std::set<std::string>{"results", "skipped", "verdict"});
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

TEST_CASE("each way to give costs changes what it should") {
  const auto step = [](const std::string& line) {
    return output_json(line + kCosts)["step_time_ns"].get<std::int64_t>();
  };
  const std::string two = "simulate 1f1b -p 2 -m 1 ";
  CHECK(step("simulate 1f1b -p 1 -m 1") == 30'000);
  CHECK(step("simulate 1f1b -p 1 -m 1 --backward 5us") == 15'000);
  CHECK(step("simulate zb-h2 -p 1 -m 1 --backward 5us") == 30'000);
  CHECK(step(two) == 60'000);
  CHECK(step(two + "--p2p 1us") == 62'000);
  CHECK(step(two + "--bandwidth 1GB/s --message 1MB") == 2'060'000);
  CHECK(step(two + "--bandwidth 1GB/s --message 1MB --p2p 0.5µs") == 2'061'000);
  CHECK(step(two + "--cost-per stage") == 60'000);
  const std::string pairs = "simulate dualpipe -p 4 -m 8 --overlapped 20us --overlap ";
  CHECK(step(pairs + "given") == step(pairs + "auto"));
  CHECK(step(pairs + "given") < step(pairs + "sum"));
  CHECK(step(pairs + "sum") == step("simulate dualpipe -p 4 -m 8"));
  const auto traced = [](const std::string& overlap) {
    return output_json("simulate dualpipe -p 4 -m 8 --costs deepseek-v3-h800 --overlap " +
                       overlap)["step_time_ns"]
        .get<std::int64_t>();
  };
  CHECK(traced("phases") < traced("given"));
  CHECK(traced("phases") > traced("given") * 99 / 100);
}

TEST_CASE("results of compare are those of simulate, best first") {
  const json many = output_json(kCompare + kCosts + " --p2p 3us");
  std::int64_t before = 0;
  for (const json& each : many["results"]) {
    CHECK(each["step_time_ns"] >= before);
    before = each["step_time_ns"];
    const json alone = output_json("simulate " + each["schedule"].get<std::string>() +
                                   " -p 4 -m 8 --p2p 3us" + kCosts);
    CHECK(each == alone);
  }
}

TEST_CASE("Nodes, and links that messages share, by hand and from a file") {
  const std::string four = "simulate 1f1b -p 4 -m 4" + kCosts + " --message 100KB --p2p 1us ";
  const auto step = [](const std::string& line) { return output_json(line)["step_time_ns"]; };
  CHECK(step(four + "--ranks-per-node 2 --bandwidth 10GB/s") == step(four + "--bandwidth 10GB/s"));
  CHECK(step(four + "--ranks-per-node 2 --nvlink 10GB/s --nic 10GB/s --comm stream") >
        step(four + "--ranks-per-node 2 --inter-p2p 0.5us --nvlink 100GB/s --nic 50GB/s"));
  const std::string shared =
      "simulate interleaved-1f1b -p 4 -m 8" + kCosts +
      " --message 400KB --ranks-per-node 2 --bandwidth 100GB/s --inter-bandwidth 50GB/s "
      "--inter-p2p 2us --nic 20GB/s --nvlink 100GB/s";
  const json by_hand = output_json(shared);
  REQUIRE(by_hand["links"].size() == 6);
  const json& nic = by_hand["links"][1];
  check_shape(nic, {{"link", 's'}, {"bytes", 'i'}, {"busy_ns", 'i'}, {"contention_ns", 'i'}});
  CHECK(nic["link"] == "node 0 NIC out");
  CHECK(nic["contention_ns"] > 0);
  CHECK(nic["bytes"] == by_hand["links"][5]["bytes"]);
  CHECK(has(output(shared), "\nlink "));
  CHECK_FALSE(output_json(kGood).contains("links"));
  const TemporaryFolder folder;
  const std::string file = (folder / "network.json").string();
  std::ofstream(file) << R"({"format": "bubblescope-costs/1", "name": "n", "source": "s", "stage":
    {"forward_us": 10, "input_grad_us": 10, "weight_grad_us": 10, "message_bytes": 400000},
    "network": {"node_of_rank": [0, 0, 1, 1],
                "intra_node": {"bandwidth_GBps": 100, "shared_GBps": 100},
                "inter_node": {"latency_us": 2, "bandwidth_GBps": 50, "shared_GBps": 20}}})";
  CHECK(output_json("simulate interleaved-1f1b -p 4 -m 8 --costs " + file) == by_hand);
}

TEST_CASE("Shared links go with noise, iterations, phases, searches and comparisons") {
  const TemporaryFolder folder;
  const std::string network = " --message 400KB --ranks-per-node 2 --nvlink 40GB/s --nic 10GB/s";
  const std::string four = " -p 4 -m 8" + kCosts + network;
  const json calm = output_json("simulate 1f1b" + four);
  const json noisy = output_json("simulate 1f1b" + four + " --straggler 0=1 --samples 3");
  CHECK(noisy["noise"]["step_time_ns"]["max"] == calm["step_time_ns"]);
  CHECK(noisy["links"] == calm["links"]);
  const json iteration = output_json("simulate 1f1b" + four + " --grad-reduce 3us --optimizer 2us");
  CHECK(iteration["step_time_ns"] == calm["step_time_ns"]);
  CHECK(iteration["iteration_time_ns"] == calm["step_time_ns"].get<std::int64_t>() + 5000);
  CHECK(iteration["links"] == calm["links"]);
  const json searched = output_json("simulate zb-auto" + four);
  CHECK(searched["links"].size() == 6);
  const json compared = output_json("compare --schedules 1f1b,zb-auto" + four);
  for (const json& each : compared["results"])
    CHECK(each["step_time_ns"] == (each["schedule"] == "1f1b" ? calm : searched)["step_time_ns"]);
  const std::string file = (folder / "phases.json").string();
  std::ofstream(file) << R"({"format": "bubblescope-costs/1", "name": "n", "source": "s", "stage":
    {"layers": 1, "message_bytes": 400000, "phases": [
      {"name": "f", "of": "F", "stream": "compute", "elapsed_us": 10},
      {"name": "i", "of": "I", "stream": "compute", "elapsed_us": 11},
      {"name": "w", "of": "W", "stream": "compute", "elapsed_us": 8}]},
    "network": {"ranks_per_node": 2, "intra_node": {"shared_GBps": 40},
                "inter_node": {"shared_GBps": 10}}})";
  const json by_phases = output_json("simulate 1f1b -p 4 -m 8 --costs " + file);
  CHECK(by_phases["step_time_ns"] ==
        output_json("simulate 1f1b -p 4 -m 8 --forward 10us --input-grad 11us --weight-grad 8us" +
                    network)["step_time_ns"]);
  for (const char* command : {"replay 1f1b", "validate 1f1b", "validate 1f1b zb-h1"})
    check_failure({command + four, {"cannot be replayed"}}, kBadInput, folder);
  // Nodes alone change what a message takes, which a replay can do.
  const std::string nodes = " -p 4 -m 4" + kCosts + " --p2p 1us --ranks-per-node 2 --inter-p2p 5us";
  CHECK(output_json("validate 1f1b" + nodes)["predicted_step_ns"] ==
        output_json("simulate 1f1b" + nodes + " --comm torch")["step_time_ns"]);
}

TEST_CASE("Options of a network that make no sense are usage errors") {
  const TemporaryFolder folder;
  const std::string nodes = kGood + " --message 1MB --ranks-per-node 2 ";
  const std::vector<Failure> failures = {
      {kGood + " --message 1MB --nic 25GB/s", {"--nic needs --ranks-per-node"}},
      {kGood + " --message 1MB --nvlink 25GB/s", {"--nvlink needs --ranks-per-node"}},
      {kGood + " --inter-p2p 1us", {"--inter-p2p needs --ranks-per-node"}},
      {kGood + " --inter-bandwidth 1GB/s", {"--inter-bandwidth needs --ranks-per-node"}},
      {kGood + " --ranks-per-node 0", {"--ranks-per-node"}},
      {kGood + " --ranks-per-node 2 --nic 25GB/s", {"--message"}},
      {nodes, {"--nic"}},
      {nodes + "--nic 0GB/s", {"--nic", "above zero"}},
      {nodes + "--nvlink -1GB/s", {"--nvlink", "above zero"}},
      {nodes + "--inter-bandwidth 0GB/s", {"--inter-bandwidth", "above zero"}},
      {kGood + " --message 1000TB --ranks-per-node 2 --nic 1B/s", {"--message at", "--nic"}},
      {kSimulate + " --costs deepseek-v3-h800 --nic 25GB/s", {"--nic does not go with --costs"}}};
  for (const Failure& failure : failures)
    check_failure(failure, kUsage, folder);
  check_failure({"replay 1f1b -p 4 -m 8" + kCosts + " --message 1MB --ranks-per-node 2 --nic 1GB/s",
                 {"cannot be replayed"}},
                kBadInput, folder);
}

TEST_CASE("Times by hand that no run can have are noted on stderr") {
  const std::pair<const char*, const char*> odd[] = {
      {" --overlapped 9us", "--overlapped is shorter than F alone"},
      {" --overlapped 15us", "--overlapped is shorter than B alone"},
      {" --backward 9us", "--backward is shorter than --input-grad"}};
  for (const auto& [options, told] : odd) {
    const ProcessResult result = run("simulate dualpipe -p 4 -m 8" + kCosts + options);
    CHECK(result.exit_code == 0);
    CHECK_MESSAGE(has(result.err, told), result.err);
  }
  CHECK(run("simulate dualpipe -p 4 -m 8" + kCosts + " --overlapped 20us").err == "");
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
  const std::string listed = output("schedules");
  for (const CatalogueEntry& entry : catalogue())
    CHECK(has(line_of(listed, std::string(entry.name)), std::string(entry.source)));
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

TEST_CASE("a flag beats the environment, and the environment beats the file") {
  const TemporaryFolder folder;
  folder.write("options.toml",
               "[simulate]\nranks = 2\nmicrobatches = 3\nforward = \"1us\"\n"
               "input-grad = \"1us\"\nweight-grad = \"1us\"\n");
  const auto ranks = [&](const std::string& line, const std::string& environment) {
    ProcessOptions options = {.folder = folder.path()};
    if (!environment.empty())
      options.environment["BUBBLESCOPE_RANKS"] = environment;
    return json::parse(output(line + " --format json", options))["ranks"].get<int>();
  };
  CHECK(ranks("--config options.toml simulate 1f1b", "") == 2);
  CHECK(ranks("--config options.toml simulate 1f1b", "3") == 3);
  CHECK(ranks("--config options.toml simulate 1f1b -p 4", "3") == 4);
  CHECK(ranks("--config options.toml simulate 1f1b -p 4", "") == 4);
  CHECK(ranks("simulate 1f1b -m 8" + kCosts, "5") == 5);
  CHECK(ranks("simulate 1f1b --config options.toml", "") == 2);
}

TEST_CASE("a bad option in the environment or in the file is told like one on the command line") {
  const TemporaryFolder folder;
  folder.write("typo.toml", "[simulate]\nrnks = 2\n");
  folder.write("broken.toml", "[[[\n");
  const std::string line = "simulate 1f1b -m 8" + kCosts;
  check_failure({line, {"-p/--ranks", "'none' (from BUBBLESCOPE_RANKS)"}}, kUsage, folder,
                {.environment = {{"BUBBLESCOPE_RANKS", "none"}}});
  folder.write("ranks.toml", "[simulate]\nranks = \"none\"\n");
  check_failure({line + " --config ranks.toml", {"-p/--ranks", "'none' (from ranks.toml)"}}, kUsage,
                folder);
  for (const std::string mine : {" -p none", " -pnone", " --ranks none", " --ranks=none"}) {
    const auto err = run(line + mine, {.environment = {{"BUBBLESCOPE_RANKS", "none"}}}).err;
    CHECK(err.find("from BUBBLESCOPE_RANKS") == err.npos);
  }
  const ProcessResult empty = run_shell("bubblescope " + line + " -p ''");
  CHECK(empty.exit_code == kUsage);
  CHECK(has(empty.err, "--ranks: expected a value"));
  for (const std::string file : {"typo.toml", "broken.toml", "none.toml"}) {
    const ProcessResult result = run("--config " + file + " " + kGood, {.folder = folder.path()});
    CHECK((result.exit_code == kUsage || result.exit_code == kBadInput));
    CHECK(result.out == "");
    CHECK(is_one_message(result.err));
  }
}

TEST_CASE("Each option that an error names is told with where it comes from") {
  const TemporaryFolder folder;
  folder.write("empty.toml", "[simulate]\n");
  folder.write("zero.toml", "[simulate]\nzero = 2\n");
  const std::string needs_ranks = "simulate 1f1b -m 8" + kCosts + " --config empty.toml";
  check_failure({needs_ranks, {"-p/--ranks is required\n"}}, kUsage, folder);
  check_failure(
      {kGood, {"--forward does not go with --model", " (--model from BUBBLESCOPE_MODEL)\n"}},
      kUsage, folder, {.environment = {{"BUBBLESCOPE_MODEL", "deepseek-v3"}}});
  const std::string astray = "--zero is for costs from a --model, and --forward gives them by hand";
  check_failure({kGood + " --zero 2", {astray + "\n"}}, kUsage, folder);
  check_failure({kGood, {astray + " (from BUBBLESCOPE_ZERO)\n"}}, kUsage, folder,
                {.environment = {{"BUBBLESCOPE_ZERO", "2"}}});
  check_failure({kGood + " --config zero.toml", {astray + " (from zero.toml)\n"}}, kUsage, folder);
}

TEST_CASE("BUBBLESCOPE_CONFIG names the file of --config") {
  const TemporaryFolder folder;
  folder.write("ranks.toml", "[simulate]\nranks = 2\n");
  folder.write("other.toml", "[simulate]\nranks = 4\n");
  const std::string line = "simulate 1f1b -m 8 --format json" + kCosts;
  const ProcessOptions options = {.environment = {{"BUBBLESCOPE_CONFIG", "ranks.toml"}},
                                  .folder = folder.path()};
  CHECK(json::parse(output(line, options))["ranks"] == 2);
  CHECK(json::parse(output(line + " --config other.toml", options))["ranks"] == 4);
}

TEST_CASE("What would change nothing is noted, and the figures stand") {
  struct Case {
    std::string line;
    std::string says;
    std::map<std::string, std::string> environment = {};
  };
  const std::string once = " --schedules 1f1b";
  const Case cases[] = {
      {kGood + " --reduce overlapped", "--reduce and --optimizer-sync are for costs that tell"},
      {kGood + " --optimizer-sync none", "--reduce and --optimizer-sync are for costs that tell"},
      {kGood + " --ranks-per-node 2", "--ranks-per-node changes nothing by itself"},
      {kCompare + kCosts + once + " --effort 2", "--objective and --effort are for automatic"},
      {kGood, "BUBBLESCOPE_CHUNK in the environment is no option", {{"BUBBLESCOPE_CHUNK", "4"}}},
      {kGood, "did you mean 'BUBBLESCOPE_CHUNKS'?", {{"BUBBLESCOPE_CHUNK", "4"}}}};
  for (const Case& each : cases) {
    const ProcessResult result = run(each.line, {.environment = each.environment});
    CAPTURE(result.err);
    CHECK(result.exit_code == 0);
    CHECK_MESSAGE(has(result.err, "bubblescope: note: "), each.line);
    CHECK_MESSAGE(has(result.err, each.says), each.line);
    CHECK(run("-q " + each.line, {.environment = each.environment}).err == "");
  }
  for (const std::string& line :
       {kGood + " --reduce overlapped --grad-reduce 1us", kGood + " --optimizer 1us --reduce after",
        kGood + " --ranks-per-node 2 --inter-p2p 1us",
        kCompare + kCosts + " --schedules zb-auto --effort 2"})
    CHECK_MESSAGE(run(line).err == "", line);
  CHECK(run(kGood, {.environment = {{"BUBBLESCOPE_CUDA_MODULE", "none.so"}}}).err == "");
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

TEST_CASE("costs made for another number of ranks are told on stderr, unless quiet") {
  const std::string line = kSimulate + " --costs deepseek-v3-h800";
  const ProcessResult noted = run(line);
  CHECK(noted.exit_code == 0);
  CHECK(has(noted.err, "deepseek-v3-h800"));
  CHECK(has(noted.err, "16 ranks"));
  for (const std::string quiet : {" -q", " --quiet"}) {
    const ProcessResult silent = run(line + quiet);
    CHECK(silent.err == "");
    CHECK(silent.out == noted.out);
  }
  CHECK(run(line, {.environment = {{"BUBBLESCOPE_QUIET", "1"}}}).err == "");
  CHECK(run("simulate 1f1b -p 16 -m 32 --costs deepseek-v3-h800").err == "");
  CHECK(run(kGood).err == "");
}

TEST_CASE("a cost file is taken by its path as by its name") {
  const TemporaryFolder folder;
  folder.write("deepseek.json", contents(source_file("data/costs/deepseek-v3-h800.json")));
  const std::string line = "simulate dualpipe -p 16 -m 32 --costs ";
  CHECK(output(line + "deepseek.json", {.folder = folder.path()}) ==
        output(line + "deepseek-v3-h800"));
}

TEST_CASE("--memory-limit marks what does not fit and decides the verdict") {
  const std::string line = kCompare + kCosts +
                           " --activation 1GiB --weights 1GiB "
                           "--schedules gpipe,1f1b,zb-h1,zb-h1-paper,zb-h2,dualpipe";
  const auto fitting = [&](const std::string& limit) {
    std::string names;
    const json all = output_json(line + limit);
    for (const json& each : all["results"])
      if (each["fits"] != false)
        names += each["schedule"].get<std::string>() + " ";
    return names + "| " + all["verdict"].get<std::string>().substr(0, 5);
  };
  CHECK(fitting("") == "dualpipe zb-h1 zb-h1-paper zb-h2 1f1b gpipe | dualp");
  CHECK(fitting(" --memory-limit 4") == "zb-h1 zb-h1-paper 1f1b | zb-h1");
  CHECK(fitting(" --memory-limit 5GiB") == "zb-h1 zb-h1-paper 1f1b | zb-h1");
  CHECK(fitting(" --memory-limit 7GiB") == "dualpipe zb-h1 zb-h1-paper 1f1b | dualp");
  CHECK(fitting(" --memory-limit 1B") == "| none:");
  const std::string table = output(line + " --memory-limit 4");
  CHECK(has(table, "fits"));
  CHECK(line_of(table, "1f1b").ends_with(" yes"));
  CHECK(line_of(table, "gpipe").ends_with(" no"));
}

TEST_CASE("compare tells which schedules the shape excludes, and why") {
  const std::string table = output("compare -p 5 -m 6" + kCosts);
  CHECK(has(table, "dualpipe: two pipes meet in the middle, so p must be even"));
  CHECK(has(table, "skipped zb-h2: "));
  const ProcessResult none = run("compare -p 5 -m 6 --schedules dualpipe,zb-h2" + kCosts);
  CHECK(none.exit_code == kBadInput);
  CHECK(run("compare -p 4 -m 8 -v 2 --schedules 1f1b,dualpipe" + kCosts).exit_code == kBadInput);
}

TEST_CASE("order speaks PyTorch's CSV, JSON and Graphviz") {
  const std::string torch = output("order dualpipe -p 4 -m 8");
  CHECK(output("order dualpipe -p 4 -m 8 --to torch") == torch);
  REQUIRE(lines(torch).size() == 4);
  CHECK(torch.starts_with("0F0,0F1,"));
  CHECK(has(torch, ")OVERLAP_F_B,"));
  CHECK(torch.find_first_of("\" \r") == std::string::npos);
  CHECK(!has(torch, ",,"));
  const json program = json::parse(output("order dualpipe -p 4 -m 8 --to json"));
  CHECK(keys(program) == std::set<std::string>{"format", "schedule", "comm", "ranks",
                                               "microbatches", "pipes", "depth", "rank_of_stage",
                                               "weights_of_stage", "program"});
  CHECK(program["format"] == "bubblescope-program/1");
  CHECK(program["rank_of_stage"] == json({0, 1, 2, 3, 3, 2, 1, 0}));
  CHECK(program["weights_of_stage"] == json({0, 1, 2, 3, 0, 1, 2, 3}));
  std::string same;
  for (const json& order : program["program"])
    for (std::size_t i = 0; i < order.size(); ++i)
      same += order[i]["action"].get<std::string>() + (i + 1 < order.size() ? "," : "\n");
  CHECK(same == torch);
}

TEST_CASE("the graph for Graphviz has a node an action and an arrow a dependency") {
  const std::string dot = output("order 1f1b -p 4 -m 8 --to dot");
  CHECK(dot.starts_with("digraph"));
  CHECK(count(dot, "[label=\"") == 2 * 4 * 8);
  CHECK(count(dot, "style=dashed") == 2 * 3 * 8);
  CHECK(count(dot, "->") == 2 * 4 * 8 - 4 + 2 * 3 * 8);
}

TEST_CASE("Graphviz reads what is made for it") {
  if (run_shell("command -v dot").exit_code != 0) {
    MESSAGE("skipped: there is no dot");
    return;
  }
  const ProcessResult drawn =
      run_shell("bubblescope order dualpipe -p 4 -m 8 --to dot | dot -Tsvg");
  CHECK(drawn.exit_code == 0);
  CHECK(drawn.err == "");
}

TEST_CASE("automatic schedules stay within the memory limit and tell their lower bound") {
  for (const int limit : {2, 4, 6}) {
    const json figures = output_json("simulate v-auto -p 4 -m 8 --p2p 1us --memory-limit " +
                                     std::to_string(limit) + kCosts);
    CHECK(figures["peak_live_activations"] <= limit);
    CHECK(figures["fits"] == true);
    CHECK(figures["objective"] == "step");
    CHECK(figures["objective_ns"] == figures["step_time_ns"]);
    CHECK(figures["objective_ns"] >= figures["lower_bound_ns"]);
    std::int64_t bound = 0;
    for (const char* kind : {"work", "drain", "critical_path", "memory"})
      bound =
          std::max(bound, figures["lower_bound_" + std::string(kind) + "_ns"].get<std::int64_t>());
    CHECK(figures["lower_bound_ns"] == bound);
  }
  const json span = output_json("simulate zb-auto -p 4 -m 8 --objective span" + kCosts);
  CHECK(span["objective"] == "span");
  CHECK(span["objective_ns"] <= span["step_time_ns"]);
  // A rank's 14 GiB of weights leave room for (20 − 14) / 3 activations.
  const json sized = output_json(
      "simulate zb-auto -p 4 -m 8 --activation 3GiB --weights 14GiB --memory-limit 20GiB" + kCosts);
  CHECK(sized["peak_live_activations"] == 2);
  CHECK(output_json("simulate 1f1b -p 4 -m 8 --memory-limit 3" + kCosts)["fits"] == false);
  const std::string table = output("simulate zb-auto -p 4 -m 8 --memory-limit 4" + kCosts);
  CHECK(has(table, "lower bound"));
  CHECK(has(table, "fits"));
  CHECK(has(output("compare -p 4 -m 8 --schedules v-auto,1f1b" + kCosts), "searched v-auto: "));
}

TEST_CASE(
    "an automatic schedule that memory or costs do not allow is refused with the least limit") {
  const ProcessResult tight = run("simulate v-auto -p 4 -m 8 --memory-limit 1" + kCosts);
  CHECK(tight.exit_code == kBadInput);
  CHECK_MESSAGE(has(tight.err, "2"), tight.err);
  const json compared = output_json("compare -p 4 -m 8 --memory-limit 1" + kCosts);
  bool told = false;
  for (const json& skipped : compared["skipped"])
    told = told || (skipped["schedule"] == "v-auto" && has(skipped["reason"], "the least is 2"));
  CHECK(told);
  CHECK(run("order zb-auto -p 4 -m 8").exit_code == kUsage);
  CHECK(run("simulate zb-auto -p 4 -m 8 --objective speed" + kCosts).exit_code == kUsage);
  CHECK(run("simulate zb-auto -p 4 -m 8 --effort 0" + kCosts).exit_code == kUsage);
  CHECK(run("simulate 1f1b -p 4 -m 8 --memory-limit 20GiB" + kCosts).exit_code == kUsage);
  CHECK(lines(output("order v-auto -p 4 -m 8" + kCosts)).size() == 4);
}

TEST_CASE("a group size below p or with a bad remainder is refused with the nearest that fits") {
  const ProcessResult small = run("simulate interleaved-1f1b -p 4 -m 8 --group-size 3" + kCosts);
  CHECK(small.exit_code == kBadInput);
  CHECK(has(small.err, "p=4, m=8, v=2, group size 4"));
  const ProcessResult rest = run("simulate interleaved-1f1b -p 4 -m 11 --group-size 8" + kCosts);
  CHECK(rest.exit_code == kBadInput);
  CHECK(has(rest.err, "m=12"));
  CHECK(run("simulate interleaved-1f1b -p 4 -m 12 --group-size 8" + kCosts).exit_code == 0);
  CHECK(run("simulate 1f1b -p 4 -m 8 --group-size 4" + kCosts).exit_code == kBadInput);
  CHECK(run("simulate interleaved-1f1b -p 4 -m 8 --group-size 0" + kCosts).exit_code == kUsage);
}

TEST_CASE("every way to talk shows in figures, orders and traces") {
  const std::string line = "simulate dualpipe -p 4 -m 8 --p2p 5us" + kCosts;
  const json ideal = output_json(line);
  const json batched = output_json(line + " --comm batched");
  const json stream = output_json(line + " --comm stream");
  CHECK(batched["comm"] == "batched");
  CHECK(stream["comm"] == "stream");
  CHECK(batched["step_time_ns"] > ideal["step_time_ns"]);
  CHECK(stream["step_time_ns"] >= ideal["step_time_ns"]);
  std::int64_t peer = 0;
  for (const json& rank : batched["per_rank"]) {
    peer += rank["idle_peer_ns"].get<std::int64_t>();
    std::int64_t causes = 0;
    for (const char* cause : {"warm_up", "dependency", "peer", "queue", "message", "drain"})
      causes += rank["idle_" + std::string(cause) + "_ns"].get<std::int64_t>();
    CHECK(causes == rank["idle_ns"]);
  }
  CHECK(peer > 0);
  CHECK(run("order 1f1b -p 4 -m 8 --comm batched").exit_code == kUsage);
  const json program = json::parse(output("order 1f1b -p 2 -m 2 --comm batched --to json"));
  CHECK(program["comm"] == "batched");
  CHECK(program["program"][0][1].contains("batch"));
  CHECK(has(output("order 1f1b -p 2 -m 2 --comm stream --to dot"), "0F0 0 to 1"));
}

TEST_CASE("a file may list schedules, and costs stage by stage skip what has other stages") {
  const TemporaryFolder folder;
  folder.write("list.toml", "[compare]\nschedules = [\"1f1b\", \"zb-h1\"]\n");
  const std::string table =
      output("--config list.toml compare -p 4 -m 8" + kCosts, {.folder = folder.path()});
  CHECK(has(table, "zb-h1"));
  CHECK(!has(table, "gpipe"));
  const std::string stage = R"({"forward_us": 10, "input_grad_us": 10, "weight_grad_us": 10})";
  folder.write("two.json", R"({"format": "bubblescope-costs/1", "name": "two", "source": "test",)"
                           R"( "ranks": 2, "stages": [)" +
                               stage + ", " + stage + "]}");
  const json compared =
      json::parse(output("compare -p 2 -m 8 --costs two.json --schedules 1f1b,zb-v --format json",
                         {.folder = folder.path()}));
  REQUIRE(compared["results"].size() == 1);
  CHECK(compared["skipped"][0]["schedule"] == "zb-v");
  CHECK(has(compared["skipped"][0]["reason"], "for 2 stages, and its pipe has 4"));
}

TEST_CASE("zb-auto is no worse than a schedule that mixes full backwards with split ones") {
  for (const char* backward : {"14us", "16us", "18us"}) {
    const std::string costs = kCosts + " --p2p 1us --backward " + backward;
    CHECK(output_json("simulate zb-auto -p 4 -m 8" + costs)["step_time_ns"] <=
          output_json("simulate zb-h1 -p 4 -m 8" + costs)["step_time_ns"]);
  }
}

}  // namespace bubblescope

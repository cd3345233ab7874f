// What the program refuses: in one message, with an exit code, in no time, and with nothing left.
#include <cstdint>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/effort.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

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

TEST_CASE("a mistyped name is answered with the nearest one, exit code 2") {
  check_failures({{"simulat", {"'simulat'", "'simulate'"}},
                  {"simulate 1f1bb -p 4 -m 8" + kCosts, {"'1f1bb'", "'1f1b'", "zb-h2"}},
                  {"simulate 1f1b-overlap -p 4 -m 8" + kCosts,
                   {"there is no schedule '1f1b-overlap'", "'interleaved-1f1b-overlap'"}},
                  {"order dualpip -p 4 -m 8", {"'dualpipe'"}},
                  {kCompare + kCosts + " --schedules 1f1b,zbh3", {"'zbh3'", "'zb-h1'"}},
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
  check_failures(
      {{kGood + " extra", {"'extra'"}},
       {"simulate 1f1b -p 4 -p 5 -m 8" + kCosts, {"ranks"}},
       {kSimulate + " --costs deepseek-v3-h800 --forward 1us", {"--forward", "--costs"}},
       {kSimulate + " --costs deepseek-v3-h800 --p2p 1us", {"--p2p"}},
       {kCompare + kCosts + " --memory-limit 80GB", {"--memory-limit", "sizes"}},
       {kCompare + kCosts + " --schedules 1f1b,,gpipe", {"--schedules: expected no empty value"}},
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
                                 "inf", "infs", "1e300s", "1e13us", "1e999us", "0x10us", "0.4ns"})
    failures.push_back({kGood + " --p2p " + text, {"--p2p"}});
  for (const std::string text : {"1", "-1MB", "nanB", "1e300GB", "1MBit", "10000000TB", "0.4B"})
    failures.push_back({kGood + " --activation " + text, {"--activation"}});
  for (const std::string text :
       {"1GB", "0GB/s", "-1GB/s", "infB/s", "nanB/s", "1/s", "1e400B/s", "1e300TB/s", "1e-320B/s"})
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
      {"rate.json",
       kCostFile + R"(1}, "link": {"bandwidth_GBps": 1e308}})",
       {"/bandwidth_GBps", "at most 1e+18, got 1e+308"}},
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
    CHECK(result.err.starts_with("bubblescope: cannot write " + name));
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

TEST_CASE("a --config that cannot be read whole is refused, exit code 3") {
  const TemporaryFolder folder;
  const std::string half = "# " + std::string(1 << 20, 'x') + "\n[simulate]\np2p = \"1ms\"\n";
  folder.write("large.toml", half);
  for (const auto& [file, says] :
       {std::pair<std::string, std::string>("large.toml", "is larger than the 1048576 bytes"),
        {"/dev/zero", "is larger than the 1048576 bytes"},
        {"/proc/self/mem", "Input/output error"}})  // which fails when it is read
    check_failure({kGood + " --config " + file, {"--config: " + file + ": " + says}}, kBadInput,
                  folder);
}

TEST_CASE("a path that the file system does not answer for is named, exit code 3") {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("b.json", folder / "a.json");
  std::filesystem::create_symlink("a.json", folder / "b.json");
  std::vector<std::pair<std::string, std::string>> cases = {
      {"a.json", "a.json: Too many levels"}, {std::string(300, 'n'), "nnn: File name too long"}};
  std::filesystem::create_directory(folder / "closed");
  std::filesystem::permissions(folder / "closed", std::filesystem::perms::none);
  if (geteuid() != 0) {  // who may read anything
    cases.emplace_back("closed/a.json", "closed/a.json: Permission denied");
    check_failure({"analyze closed", {"closed: Permission denied"}}, kBadInput, folder);
    check_failure({"calibrate closed", {"closed: Permission denied"}}, kBadInput, folder);
  }
  for (const auto& [path, says] : cases)
    for (const std::string& line :
         {std::string("analyze "), std::string("calibrate "), kSimulate + " --costs ",
          std::string("costs -p 2 --hardware h800 --model "), std::string("reproduce "),
          kGood + " --trace-flavour kineto --trace "})
      check_failure({line + path, {says}}, kBadInput, folder);
  std::filesystem::permissions(folder / "closed", std::filesystem::perms::owner_all);
}

TEST_CASE("What a program cannot be asked is a usage error, a deadlock bad input") {
  const TemporaryFolder folder;
  const std::string csv = (folder / "mine.csv").string();
  const std::string hang = source_file("data/programs/deadlock.csv").string();
  run("order 1f1b -p 4 -m 8 --to torch-comms -o " + csv);
  const std::string costs = " --forward 10us --input-grad 10us --weight-grad 10us";
  const std::vector<Failure> failures = {
      {"order 1f1b -p 2 -m 2 --dialect pre-2.6", {"--dialect needs --program"}},
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
  CHECK(run("check " + hang).exit_code == kCheckFailed);
  CHECK(run("check " + csv).exit_code == 0);
}

}  // namespace
}  // namespace bubblescope

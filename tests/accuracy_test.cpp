// Runs that others measured: how rows are read, how errors are counted, and that predictions stay
// as far off as is recorded.
#include "analysis/published/accuracy.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/effort.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"
#include "tools/reproduce/measured_rows.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr const char* kRows = "data/published/measured.json";
constexpr const char* kRecorded = "tests/golden/accuracy.json";

json rows() {
  return json::parse(contents(source_file(kRows)));
}

json row_of(std::string_view id) {
  for (const json& row : rows())
    if (row["id"] == id)
      return row;
  FAIL("no row ", id);
  return {};
}

MeasuredRow read(const json& row, const std::vector<Assumption>& assumed = {}) {
  return parse_measured_rows(json::array({row}).dump(), "mine.json", assumed).at(0);
}

bool says(const MeasuredRow& row, const std::string& option, const std::string& value) {
  for (std::size_t i = 0; i + 1 < row.words.size(); ++i)
    if (row.words[i] == option)
      return row.words[i + 1] == value;
  return false;
}

/// A file that is removed with it.
struct RowsFile {
  explicit RowsFile(const json& rows) { std::ofstream(path) << rows.dump(); }
  ~RowsFile() { std::filesystem::remove(path); }
  std::string path = (std::filesystem::temp_directory_path() /
                      ("bubblescope-rows-" + std::to_string(getpid()) + ".json"))
                         .string();
};

PublishedRun run_of(const std::string& id, std::int64_t measured, std::int64_t predicted) {
  PublishedRun run{.id = id, .table = "t", .kind = "k", .job = "j"};
  run.measured = Time(measured);
  run.predicted = Time(predicted);
  return run;
}

}  // namespace

TEST_CASE("A row's hardware and model may be files beside the rows") {
  json row = rows()[0];
  row["hardware"] = "mine.json";
  row["model"]["file"] = "model.json";
  row["gradient_fusion"] = true;
  row["measured"]["peak_memory_GB"] = 40.5;
  const MeasuredRow read =
      parse_measured_rows(json::array({row}).dump(), "runs/rows.json", {}).at(0);
  CHECK(says(read, "--hardware", "runs/mine.json"));
  CHECK(says(read, "--model", "runs/model.json"));
  CHECK(says(read, "--gradient-fusion", "on"));
  CHECK(read.run.kind.starts_with("mine "));
  CHECK(read.run.measured_memory == 40'500'000'000);
}

TEST_CASE("Errors of predictions are counted by quantiles, pairs and choices") {
  std::vector<PublishedRun> runs = {run_of("a", 100, 110), run_of("b", 200, 190),
                                    run_of("c", 101, 130), run_of("d", 150, 150)};
  std::vector<PublishedRun> odd = runs;
  odd.push_back(run_of("e", 100, 1000));
  odd.back().is_judged = false;
  for (const std::vector<PublishedRun>& all : {runs, odd}) {
    const Accuracy each = accuracies(all, &PublishedRun::table).at(0);
    CHECK(each.runs == 4);
    CHECK(each.median_error == doctest::Approx(0.05));  // between 0 and +10 %
    CHECK(each.median_abs_error == doctest::Approx(0.075));
    CHECK(each.mean_abs_error == doctest::Approx((0.1 + 0.05 + 29.0 / 101) / 4));
    CHECK(each.pairs == 5);  // a and c differ by less than 2 %
    CHECK(each.pairs_right == 5);
    CHECK(each.worst_choice == 0);
  }
  runs[1].predicted = runs[3].predicted;  // a tie is not right, whichever comes first
  CHECK(accuracies(runs, &PublishedRun::table).at(0).pairs_right == 4);
  std::swap(runs[1], runs[3]);
  CHECK(accuracies(runs, &PublishedRun::table).at(0).pairs_right == 4);
  std::swap(runs[1], runs[3]);
  runs[1].predicted = Time(190);
  runs[0].predicted = Time(180);  // no longer the best, and behind d
  const Accuracy each = accuracies(runs, &PublishedRun::kind).at(0);
  CHECK(each.pairs_right == 4);
  CHECK(each.worst_choice == doctest::Approx(0.01));
  runs[1].refused = "why";
  runs[1].predicted.reset();
  CHECK(accuracies(runs, &PublishedRun::table).at(0).runs == 3);
}

TEST_CASE("Runs that ran out of memory, and others, are counted as they were told") {
  std::vector<PublishedRun> runs(3, run_of("a", 1, 1));
  for (PublishedRun& run : runs)
    run.device_memory = 1;
  runs[0].ran_out = runs[0].is_told_to_run_out = true;
  runs[1].ran_out = true;
  runs.push_back(run_of("unknown", 1, 1));
  const MemoryVerdicts verdicts = memory_verdicts(runs);
  CHECK(verdicts.ran == 1);
  CHECK(verdicts.ran_right == 1);
  CHECK(verdicts.ran_out == 2);
  CHECK(verdicts.ran_out_right == 1);
}

TEST_CASE("A row of a measured run is what simulate would be asked") {
  const MeasuredRow row = read(row_of("bridge-26.08-deepseek-v3-gb300"));
  CHECK(row.words[0] == "interleaved-1f1b-overlap");
  CHECK(says(row, "--fp8-recipe", "mxfp8"));
  CHECK(says(row, "--dispatch", "hybridep"));
  CHECK(says(row, "--cuda-graphs", "full"));
  CHECK(says(row, "--attention", "fp8"));
  CHECK(says(row, "--reduce", "overlapped"));
  CHECK(row.run.kind == "gb300 fp8 experts");
  // 30 layers on 8 ranks: the embedding and the head count as a layer each.
  const MeasuredRow even = read(row_of("zb-t4-6.2B-m24-1F1B"));
  CHECK(says(even, "--layout", "Et*3|(t*4|)*6t*3L"));
  CHECK(says(even, "--loss", "unfused"));
  CHECK(even.forward == std::chrono::microseconds(29718));
  CHECK(read(row_of("korthikanti22-t4-sp")).is_layer);
  CHECK_FALSE(read(row_of("deepseek-v3-h800-2048")).run.ran_out);
}

TEST_CASE("What a source does not tell is assumed for its table alone") {
  const json row = row_of("zb-t4-6.2B-m24-1F1B");
  const json other = row_of("zb-t6-6.2B-p16-m48-1F1B");
  const auto both = parse_measured_rows(json::array({row, other}).dump(), "mine.json",
                                        {{"zb-*", "gradients", "fp32"}, {"zb-t6", "zero", "1"}});
  CHECK(says(both[0], "--gradients", "fp32"));
  CHECK(says(both[0], "--zero", "0"));
  CHECK(says(both[1], "--zero", "1"));
  CHECK(has(run("reproduce measured --assume nowhere.zero=1").err, "no row is of table 'nowhere'"));
  CHECK(run("reproduce dualpipe-readme --assume zb-t4.zero=1").exit_code == kUsage);
  CHECK(run("reproduce measured --assume zb-t4=1").exit_code == kUsage);
}

TEST_CASE("Rows that are not understood are refused with their place") {
  json row = row_of("zb-t4-6.2B-m24-1F1B");
  row["recompte"] = "none";
  CHECK(has(error_of([&] { read(row); }), "mine.json: /0/recompte: unknown key"));
  row.erase("recompte");
  row["tp"] = "two";
  CHECK(has(error_of([&] { read(row); }), "mine.json: /0/tp: "));
  row["tp"] = 3;
  CHECK(has(error_of([&] { read(row); }), "mine.json: /0/gpus: is not tp · cp · pp · dp"));
  row["gpus"] = 24;  // but 3 does not divide the heads
  const RowsFile file(json::array({row}));
  const json result = json::parse(output("reproduce " + file.path + " --format json"));
  CHECK(has(result["rows"][0]["refused"], "tp=3"));
  CHECK(result["rows"][0]["predicted_ns"].is_null());
  CHECK(result["tables"].empty());
  CHECK(result["verdict"] == "no run is predicted");
  row["gbs"] = 0;
  CHECK(has(error_of([&] { read(row); }), "mine.json: /0/gbs: is not dp · mbs · microbatches"));
  row["model"]["widow"] = 3;
  row["gbs"] = 72;
  CHECK(has(error_of([&] { read(row); }), "widow: unknown key"));
  for (const char* text : {"[[null]]", "[3]"})
    CHECK(has(error_of([&] { parse_measured_rows(text, "mine.json", {}); }), "mine.json: /0"));
  CHECK(error_of([] { parse_measured_rows("[]", "mine.json", {}); }) == "mine.json: holds no rows");
}

TEST_CASE("A row's command gives what is predicted for it") {
  const RowsFile file(json::array({row_of("bridge-26.06-qwen3-30b-gb300")}));
  const json row = json::parse(output("reproduce " + file.path + " --format json"))["rows"][0];
  const std::string command = row["command"];
  REQUIRE(command.starts_with("bubblescope "));
  const json result = json::parse(output(command.substr(12) + " --format json"));
  CHECK(result["iteration_time_ns"] == row["predicted_ns"]);
  CHECK(result["device_memory_bytes"] == row["device_memory_bytes"]);
}

// Under a sanitizer it takes a minute.
TEST_CASE("Predictions of measured runs are as far off as is recorded, within half a point" *
          doctest::skip(kSanitized)) {
  json some = json::array();  // without most searches
  for (const json& row : rows())
    if (row["schedule"] != "zb-auto")
      some.push_back(row);
  const RowsFile file(some);
  const json result = json::parse(output("reproduce " + file.path + " --format json"));
  std::map<std::string, double> medians;
  for (const json& table : result["tables"])
    medians[table["table"]] = table["median_abs_error"];
  if (std::getenv("BUBBLESCOPE_UPDATE_GOLDEN") != nullptr)
    std::ofstream(source_file(kRecorded)) << json(medians).dump(1) << '\n';
  const json recorded = json::parse(contents(source_file(kRecorded)));
  REQUIRE(recorded.size() == medians.size());
  for (const auto& [table, median] : medians) {
    CAPTURE(table);
    CHECK(std::abs(median - recorded[table].get<double>()) < 0.005);
  }
}

}  // namespace bubblescope

// Cost files: what a good one says, and how each bad one is refused.
#include "sim/costs/cost_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "sim/base/printable.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

const std::string kGood = R"({
  "format": "bubblescope-costs/1",
  "name": "mine",
  "source": "a test",
  "ranks": 8,
  "layers_per_stage": 2.5,
  "stage": {
    "forward_us": 1.5,
    "input_grad_us": 2,
    "weight_grad_us": 0.25,
    "backward_us": 3,
    "overlapped_us": 4,
    "exposed_communication_us": {"forward": 0.5, "input_grad": 0.75},
    "activation_bytes": 100,
    "activation_bytes_after_input_grad": 40,
    "weight_bytes": 9000000000000000000,
    "message_bytes": 64
  },
  "link": {"latency_us": 7, "bandwidth_GBps": 50}
})";

/// `kGood` with its one `from` replaced.
std::string good_but(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const auto place = text.find(from);
  REQUIRE_MESSAGE(place != std::string::npos, from);
  REQUIRE_MESSAGE(text.find(from, place + 1) == std::string::npos, from);
  return text.replace(place, from.size(), to);
}

/// What reading has to say against `text`.
std::string complaint(const std::string& text) {
  return error_of([&] { parse_costs(text, "mine.json"); });
}

std::string nested(const std::string& open, std::size_t levels) {
  std::string text;
  for (std::size_t i = 0; i < levels; ++i)
    text += open;
  return text;
}

/// A file that is there as long as this is.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& text)
      : path_(
            (std::filesystem::temp_directory_path() / (std::to_string(getpid()) + name)).string()) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct BadInput {
  std::string text;
  std::string complaint;  // how it begins
};

void check_complaints(const std::vector<BadInput>& inputs) {
  for (const BadInput& each : inputs) {
    const std::string told = complaint(each.text);
    CHECK_MESSAGE(told.starts_with("mine.json: " + each.complaint),
                  "expected \"" << each.complaint << "\" at the start of " << told);
  }
}

}  // namespace

TEST_CASE("A cost file gives every figure that it holds") {
  const CostSource source = parse_costs(kGood, "mine.json");
  CHECK(source.name == "mine");
  CHECK(source.description == "a test");
  CHECK(source.ranks == 8);
  CHECK(source.layers_per_stage == 2.5);
  CHECK_FALSE(source.stage_by_stage);
  REQUIRE(source.stages.size() == 1);
  const StageCost& stage = source.stages[0];
  CHECK(stage.forward == Time(1500));
  CHECK(stage.input_grad == Time(2000));
  CHECK(stage.weight_grad == Time(250));
  CHECK(stage.backward == Time(3000));
  CHECK(stage.overlapped == Time(4000));
  CHECK(stage.exposed_forward == Time(500));
  CHECK(stage.exposed_input_grad == Time(750));
  CHECK(stage.activation == 100);
  CHECK(stage.activation_after_input_grad == 40);  // it may also be more than the activation
  const CostSource more =
      parse_costs(good_but("\"activation_bytes\": 100", "\"activation_bytes\": 30"), "mine.json");
  CHECK(more.stages[0].activation == 30);
  CHECK(stage.weights == 9'000'000'000'000'000'000);
  CHECK(stage.message == 64);
  CHECK(source.link.latency == Time(7000));
  CHECK(source.link.bytes_per_second == 50e9);
}

TEST_CASE("A cost file may leave out what has a default") {
  const CostSource source = parse_costs(R"({"format": "bubblescope-costs/1", "name": "n",
    "source": "s", "stages": [{"forward_us": 1, "input_grad_us": 2, "weight_grad_us": 3},
                              {"forward_us": 4, "input_grad_us": 5, "weight_grad_us": 6}]})",
                                        "mine.json");
  CHECK_FALSE(source.ranks);
  CHECK_FALSE(source.layers_per_stage);
  CHECK(source.stage_by_stage);
  REQUIRE(source.stages.size() == 2);
  CHECK(source.stages[1].forward == Time(4000));
  const StageCost& stage = source.stages[0];
  CHECK_FALSE(stage.backward);
  CHECK_FALSE(stage.overlapped);
  CHECK(stage.exposed_forward + stage.exposed_input_grad == Time(0));
  CHECK_FALSE(stage.activation);
  CHECK_FALSE(stage.activation_after_input_grad);
  CHECK_FALSE(stage.weights);
  CHECK(stage.message == 0);
  CHECK(source.link.latency == Time(0));
  CHECK(source.link.bytes_per_second == 0);
}

TEST_CASE("Keys that start with an underscore are comments everywhere") {
  const std::string comment = "\"_why\": {\"_\": [1, null]}, ";
  for (const char* place : {"\"name\"", "\"forward_us\"", "\"forward\"", "\"latency_us\""})
    CHECK(complaint(good_but(place, comment + place)) == "");
}

TEST_CASE("Keys that are missing or too many are told with their path") {
  check_complaints({
      {good_but("  \"format\": \"bubblescope-costs/1\",\n", ""), "/format: is missing"},
      {good_but("  \"name\": \"mine\",\n", ""), "/name: is missing"},
      {good_but("  \"source\": \"a test\",\n", ""), "/source: is missing"},
      {good_but("    \"forward_us\": 1.5,\n", ""), "/stage/forward_us: is missing"},
      {good_but("\"forward\": 0.5, ", ""), "/stage/exposed_communication_us/forward: is missing"},
      {good_but("backward_us", "backwards_us"),
       "/stage/backwards_us: unknown key; did you mean 'backward_us'?"},
      {good_but("\"input_grad\"", "\"input-grad\""),
       "/stage/exposed_communication_us/input_grad: is missing"},
      {good_but("0.75}", "0.75, \"input_grads\": 1}"),
       "/stage/exposed_communication_us/input_grads: unknown key; did you mean 'input_grad'?"},
      {good_but("latency_us", "latency"), "/link/latency: unknown key; did you mean 'latency_us'?"},
      {good_but("\"ranks\"", "\"rank\""), "/rank: unknown key; did you mean 'ranks'?"},
      {good_but("\"ranks\"", "\"something else\""), "/something else: unknown key"},
      {good_but("\"ranks\": 8", "\"name\": \"again\""),
       "key \"name\" is given twice in one object"},
      {good_but("\"message_bytes\": 64", "\"forward_us\": 1"),
       "key \"forward_us\" is given twice in one object"},
      {good_but("\"link\"", "\"stages\": [], \"link\""),
       "/stages: expected an array of one object or more, got an empty array"},
      {good_but("\"link\"", "\"stages\": [{}], \"link\""), "/stages: is given beside \"stage\""},
      {good_but("\"stage\": {", "\"_stage\": {"), "/stage: is missing"},
      {good_but("\"stage\": {", "\"stages\": {"),
       "/stages: expected an array of one object or more, got an object"},
  });
}

TEST_CASE("Values of the wrong kind or size are told with their path") {
  check_complaints({
      {good_but("costs/1", "costs/2"),
       "/format: expected \"bubblescope-costs/1\", got \"bubblescope-costs/2\""},
      {good_but("\"mine\"", "3"), "/name: expected a string, got 3"},
      {good_but("1.5", "-1.5"), "/stage/forward_us: expected a number ≥ 0, got -1.5"},
      {good_but("1.5", "\"1.5\""), "/stage/forward_us: expected a number ≥ 0, got \"1.5\""},
      {good_but("1.5", "null"), "/stage/forward_us: expected a number ≥ 0, got null"},
      {good_but("1.5", "1e30"), "/stage/forward_us: 1e+30 µs is not a duration"},
      {good_but("\"forward\": 0.5", "\"forward\": 1e13"),
       "/stage/exposed_communication_us/forward: 10000000000000 µs is not a duration"},
      {good_but("\"ranks\": 8", "\"ranks\": 0"), "/ranks: expected a number of ranks, got 0"},
      {good_but("\"ranks\": 8", "\"ranks\": 8.5"), "/ranks: expected a whole number, got 8.5"},
      {good_but("\"ranks\": 8", "\"ranks\": 3e9"),
       "/ranks: expected a number of ranks, got 3000000000"},
      {good_but("9000000000000000000", "9300000000000000000"),
       "/stage/weight_bytes: expected a whole number, got 9300000000000000000"},
      {good_but("    \"activation_bytes\": 100,\n", ""),
       "/stage/activation_bytes_after_input_grad: needs activation_bytes beside it"},
      {good_but("50}", "0}"), "/link/bandwidth_GBps: expected a number > 0"},
      {good_but("{\"forward\": 0.5, \"input_grad\": 0.75}", "3"),
       "/stage/exposed_communication_us: expected an object, got 3"},
      {good_but("{\"latency_us\": 7, \"bandwidth_GBps\": 50}", "[7]"),
       "/link: expected an object, got an array"},
  });
}

TEST_CASE("A fault in one of many stages is told with its number") {
  check_complaints({{R"({"format": "bubblescope-costs/1", "name": "n", "source": "s", "stages": [
                         {"forward_us": 1, "input_grad_us": 2, "weight_grad_us": 3},
                         {"forward_us": 4, "input_grad_us": 5, "weight_grad": 6}]})",
                     "/stages/1/weight_grad_us: is missing"}});
}

TEST_CASE("What is no JSON is told with the line") {
  const std::string truncated = kGood.substr(0, kGood.size() / 2);
  check_complaints({
      {truncated, "parse error at line 13, column 7"},
      {good_but("1.5", "NaN"), "parse error at line 8, column 19"},
      {good_but("1.5", "1e400"), "number overflow parsing '1e400'"},
      {good_but("\"mine\"", "\"mi\xffne\""), "parse error at line 3"},
      {kGood + "x", "parse error at line 20, column 2"},
      {"", "parse error at line 1, column 1"},
      {"[]", "/: expected an object, got an empty array"},
      {"3", "/: expected an object, got 3"},
  });
}

TEST_CASE("JSON a hundred thousand levels deep is refused at once") {
  for (const char* open : {"[", "{\"a\":", "[{\"_\":"})
    CHECK(complaint(nested(open, 100'000)) == "mine.json: is nested deeper than 64 levels");
  const std::string allowed = nested("[", 63) + nested("]", 63);  // in the file's own object
  CHECK(complaint(good_but("\"name\"", "\"_\": " + allowed + ", \"name\"")) == "");
}

TEST_CASE("A complaint is one short line however long the value") {
  const std::string name(100'000, 'x');
  for (const std::string& told :
       {complaint("\"" + name), complaint(good_but("1.5", "\"" + name + "\"")),
        complaint(good_but("1.5", "1" + name))}) {
    CHECK(told.size() < 400);
    CHECK(told.find('\n') == std::string::npos);
  }
}

TEST_CASE("A cost file that cannot be read is told by its path and the reason") {
  const std::string folder = std::filesystem::temp_directory_path().string();
  const std::string absent = folder + "/bubblescope-no-such-file.json";
  const TemporaryFile empty("-bubblescope-empty.json", "");
  const TemporaryFile huge("-bubblescope-huge.json", std::string((4 << 20) + 1, ' '));
  const std::vector<std::vector<std::string>> cases = {
      {absent, absent + ": No such file or directory"},
      {folder, folder + ": Is a directory"},
      {empty.path(), empty.path() + ": is empty"},
      {huge.path(), huge.path() + ": is larger than the 4194304 bytes that such a file may have"}};
  for (const auto& each : cases)
    CHECK_THROWS_WITH_AS(read_costs(each[0]), each[1].c_str(), Error);
}

TEST_CASE("A cost file is read from its path") {
  const TemporaryFile file("-bubblescope-good.json", kGood);
  CHECK(read_costs(file.path()).stages[0].forward == Time(1500));
}

TEST_CASE("Names that files tell can stand on a terminal") {
  CHECK(printable_name("deepseek-v3, Größe µ") == "deepseek-v3, Größe µ");
  CHECK(printable_name("\x1b[31mred\n\x7f\xc2\x9b") == "?[31mred???");
  CHECK(printable_name("") == "unnamed");
  const std::string longest(64, 'x');
  CHECK(printable_name(longest) == longest);
  CHECK(printable_name(longest + "µ") == longest + "…");
}

}  // namespace bubblescope

// `hardware-fit`: timings of kernels as they are read, the tables that are fitted to them, and what
// is refused.
#include "analysis/calibration/hardware_fit.h"

#include <cmath>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/calibration/grid_fit.h"
#include "sim/transformer/hardware.h"
#include "tests/support/command.h"
#include "tests/support/json_schema.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr const char* kGemm = "data/timings/h100-gemm.csv";
constexpr const char* kNccl = "data/timings/h100-nccl.csv";

/// Runs hardware-fit on a text as gemm.csv, or the file named; what it says where it fails.
std::string complaint(const std::string& text, const std::string& base = "h100-sxm") {
  const TemporaryFolder folder;
  folder.write("gemm.csv", text);
  const ProcessResult result =
      run("hardware-fit gemm.csv -o out.json --base " + base, {.folder = folder.path()});
  CHECK(result.exit_code == kBadInput);
  CHECK_FALSE(std::filesystem::exists(folder / "out.json"));
  return result.err;
}

/// Products that take what they would at half of an H100's peak.
std::string products(const std::vector<double>& sizes, const std::string& dtype = "bfloat16") {
  std::string text = "dtype,m,n,k,us\n";
  for (const double m : sizes)
    for (const double n : sizes)
      for (const double k : sizes)
        text += fmt::format("{},{},{},{},{}\n", dtype, m, n, k, 3 + 2 * m * n * k / 500e6);
  return text;
}

json tables(const std::string& gpu) {
  return json::parse(contents(source_file("data/kernels/" + gpu + ".json")));
}

/// How many times of two tables there are, and how many of them differ by more than 1 %.
struct Compared {
  std::size_t nodes = 0;
  std::size_t apart = 0;
};

void compare(const json& one, const json& other, Compared& result) {
  CHECK(one.size() == other.size());
  for (const auto& [key, part] : one.items()) {
    CAPTURE(key);
    REQUIRE(other.contains(key));
    if (part.is_object()) {
      compare(part, other[key], result);
    } else if (key == "us") {
      REQUIRE(part.size() == other[key].size());
      for (std::size_t i = 0; i < part.size(); ++i, ++result.nodes)
        result.apart += std::abs(part[i].get<double>() / other[key][i].get<double>() - 1) > 0.01;
    } else {
      CHECK(part == other[key]);
    }
  }
}

}  // namespace

TEST_CASE("A grid that is fitted to points of a grid is that grid") {
  const std::vector<GridAxis> axes = {{"m", {16, 64, 512}}, {"n", {32, 1024}, 1, 0.5}};
  std::vector<double> values;
  for (int i = 0; i < 6; ++i)
    values.push_back(1 + 0.7 * i + 0.1 * i * i);
  const GridFit whole(axes, values, 0);
  std::vector<GridPoint> points;
  for (const double m : {16.0, 20.0, 64.0, 100.0, 300.0, 512.0})
    for (const double n : {32.0, 50.0, 300.0, 1024.0}) {
      points.push_back({.at = {m, n}});
      points.back().microseconds = whole.microseconds(points.back());
    }
  const GridFit fit = fit_grid(cut_axes(axes, points), points);
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(std::log(fit.microseconds()[i]) == doctest::Approx(values[i]).epsilon(0.01));
  CHECK(whole.microseconds({.at = {1024, 32}}) ==
        doctest::Approx(2 * whole.microseconds({.at = {512, 32}})));
  CHECK(whole.microseconds({.at = {16, 8}}) ==
        doctest::Approx(0.5 * whole.microseconds({.at = {16, 32}})));
}

TEST_CASE("Timings that a grid has not covered go on as the base's do") {
  const std::vector<GridAxis> axes = {{"m", {16, 32, 64, 128, 256}}};
  const GridFit base(axes, {0, 0.1, 0.5, 1.2, 1.9}, 0);
  std::vector<GridPoint> points;
  for (const double m : {64.0, 128.0})
    points.push_back({.at = {m}, .microseconds = 3 * base.microseconds({.at = {m}})});
  const GridFit grid = extended(fit_grid(cut_axes(axes, points), points), base);
  REQUIRE(grid.axes()[0].nodes == axes[0].nodes);
  for (std::size_t i = 0; i < 5; ++i)
    CHECK(grid.microseconds()[i] == doctest::Approx(3 * base.microseconds()[i]).epsilon(1e-3));
}

TEST_CASE("The tables of data/kernels are what their timings give") {
  for (const auto& [gpu, base] : {std::pair<std::string, std::string>("a100-80g", "a100-80g"),
                                  {"h100-sxm", "h100-sxm"},
                                  {"b200", "b200"},
                                  {"gb300", "gb300-nvl72"}}) {
    const std::filesystem::path folder = reference("measured/kernels");
    if (folder.empty())
      return;
    std::string files;
    for (const char* kind : {"gemm", "attention", "mla", "moe", "nccl"})
      files += " " + (folder / (gpu + "-" + kind + ".csv.gz")).string();
    json fitted = json::parse(
        output("hardware-fit" + files + " --base " + base + " --name " + gpu + " -o -"))["kernels"];
    json known = tables(gpu);
    for (json* each : {&fitted, &known})
      each->erase("source");
    Compared result;
    compare(known, fitted, result);
    CAPTURE(gpu);
    CHECK(result.nodes > 2000);
    CHECK(result.apart == 0);
  }
}

TEST_CASE("Hardware that is fitted is taken by --hardware, and has the base's peaks and links") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  const std::string gemm = source_file(kGemm).string();
  const std::string nccl = source_file(kNccl).string();
  const json told = json::parse(output("hardware-fit " + gemm + " " + nccl +
                                           " --base h100 --sustained bf16=1,weight-gradients=1.1 "
                                           "-o mine.json --format json",
                                       there));
  CHECK(told["format"] == "bubblescope-hardware-fit/1");
  CHECK(told["tables"][0]["table"] == "products.bf16");
  CHECK(told["tables"][0]["rows"] == 64);
  CHECK(told["tables"][0]["median_error"] < 0.02);
  CHECK(told["tables"][0]["left_out_median"] < 0.1);
  CHECK(has(told["notes"].dump(), "no timings of products.fp8"));
  const json schema = json::parse(contents(source_file("data/schema/hardware-fit.schema.json")));
  CHECK(schema_faults(schema, told) == std::vector<std::string>());

  const json mine = json::parse(contents(folder / "mine.json"));
  const auto of_data = [](const std::string& name) {
    return json::parse(contents(source_file("data/" + name + ".json")));
  };
  const json hardware_schema = of_data("schema/hardware.schema");
  CHECK(schema_faults(hardware_schema, mine) == std::vector<std::string>());
  CHECK(schema_faults(of_data("schema/kernels.schema"), mine["kernels"]) ==
        std::vector<std::string>());
  const json base = of_data("hardware/h100-sxm");
  for (const char* key : {"bf16_TFLOPs", "memory_GB", "nvlink_GBps", "gpus_per_node", "host"})
    CHECK(mine[key] == base[key]);
  CHECK(mine["name"] == "mine");
  CHECK(mine["sustained"]["bf16"] == 1);
  CHECK(mine["sustained"]["weight_gradients"] == 1.1);
  CHECK(mine["sustained"]["collectives"] == base["sustained"]["collectives"]);
  CHECK(mine["kernels"]["attention"] == tables("h100-sxm")["attention"]);

  const auto costs = [&](const std::string& more) {
    return json::parse(
        output("costs -p 4 --model llama-3.1-70b --tp 8 --format json --hardware " + more, there));
  };
  const json own = costs("mine.json");
  CHECK(own["inputs"]["kernel_tables"] == "mine");
  CHECK(own["stages"][1]["forward_ns"] < costs("h100")["stages"][1]["forward_ns"]);
  CHECK(costs("mine.json --kernel-tables off")["stages"] ==
        costs("h100 --kernel-tables off")["stages"]);
}

TEST_CASE("A hardware file's own tables are refused by name and place") {
  const json good = [] {
    json hardware = json::parse(contents(source_file("data/hardware/h100-sxm.json")));
    hardware["kernels"] = tables("h100-sxm");
    return hardware;
  }();
  const auto told = [](const json& hardware) {
    return error_of([&] { parse_hardware(hardware.dump(), "mine.json"); });
  };
  CHECK(told(good) == "");
  json changed = good;
  changed["kernels"] = 3;
  CHECK(told(changed) ==
        "mine.json: /kernels: expected the name of tables, or tables themselves "
        "(bubblescope-kernels/1), got 3");
  changed = good;
  changed["kernels"]["products"]["bf16"]["us"].erase(0);
  CHECK(told(changed).starts_with("mine.json: /kernels/products/bf16/us: expected "));
  changed = good;
  changed["kernels"]["grouped"]["bf16"]["hidden"][0] = -1;
  CHECK(told(changed).starts_with("mine.json: /kernels/grouped/bf16/hidden/0: expected a number"));
  changed = good;
  changed["kernels"]["product"] = changed["kernels"]["products"];
  CHECK(told(changed) == "mine.json: /kernels/product: unknown key; did you mean 'products'?");
  changed = good;
  changed.erase("sustained");
  CHECK(told(changed).starts_with("mine.json: /sustained: "));
}

TEST_CASE("Timings that are wrong are refused with file and line") {
  const std::string header = "dtype,m,n,k,us\n";
  const std::string good = products({256, 1024, 4096});
  const auto with = [&](const std::string& row) { return complaint(good + row + "\n"); };
  CHECK(has(with("bfloat16,512,,1024,9"),
            "gemm.csv: line 29: n: expected a whole number from 1 on, got nothing"));
  CHECK(has(with("bfloat16,512,512,9"), "line 29: expected 5 cells, as the header has, got 4"));
  CHECK(has(with("bfloat16,512,512,512,-9"),
            "line 29: us: expected a time above 0, in µs, got '-9'"));
  CHECK(has(with("bfloat16,512,512,512,0"), "line 29: us: expected a time above 0"));
  CHECK(has(with("bfloat16,512,512,512,nan"), "line 29: us: expected a time above 0"));
  CHECK(has(with("bfloat16,512,512,512,fast"), "us: expected a time above 0, in µs, got 'fast'"));
  CHECK(has(with("bfloat16,5.5,512,512,9"), "m: expected a whole number from 1 on, got '5.5'"));
  CHECK(has(with("bfloat,512,512,512,9"),
            "line 29: dtype: expected bfloat16, fp8, fp8_block, got 'bfloat'; did you mean "
            "'bfloat16'?"));
  CHECK(has(with("bfloat16,256,1024,256,9"), "line 29: has the shape of line 5"));
  CHECK(has(with("bfloat16,512,512,512,3.6e9"), "line 29: 3.6e+09 µs are absurd for a kernel"));
  CHECK(has(with("bfloat16,8192,8192,8192,100"), "TFLOP/s, where h100-sxm has 989.4 TFLOP/s"));
  CHECK(has(complaint(""), "gemm.csv: is empty"));
  CHECK(has(complaint(header), "gemm.csv: has a header and no timings"));
  CHECK(has(complaint("dtype,m,n,us\nbfloat16,1,2,3\n"), "line 1: has no column 'k'"));
  CHECK(has(complaint("dtype,m,n,k,us,speed\n"), "timings of gemm have no column 'speed'"));
  CHECK(has(complaint("dtype,m,n,k,microseconds\n"), "no column 'microseconds'"));
  CHECK(has(complaint("dtype,m,n,k,k,us\n"), "has column 'k' twice"));
  CHECK(has(complaint("a,b,c\n1,2,3\n"), "line 1: the header is of no kind of timings"));
}

TEST_CASE("Timings that cannot be the base's are refused, or told to be of another GPU") {
  CHECK(has(complaint(products({1024, 4096}, "fp8"), "a100-80g"),
            "dtype is 'fp8', and a100-80g has no fp8"));
  CHECK(has(complaint("dtype,m,n,k,us\nbfloat16,8192,8192,8192,1000\n", "a100-80g"),
            "where a100-80g has 312 TFLOP/s: expected 1762 µs or more; is it of another GPU?"));
  std::string slow = "dtype,m,n,k,us\n";
  for (const int m : {2048, 4096})
    for (const int n : {2048, 4096})
      for (const int k : {2048, 4096})
        slow += fmt::format("bfloat16,{},{},{},{}\n", m, n, k, 2.0 * m * n * k / 20e6);
  CHECK(has(complaint(slow), "are they of another GPU, or not in µs?"));
  const TemporaryFolder folder;
  folder.write("gemm.csv", products({1024, 4096}));
  const ProcessResult result =
      run("hardware-fit gemm.csv -o out.json --base b200", {.folder = folder.path()});
  CHECK(result.exit_code == 0);
  CHECK(has(result.err, "of the 2250 TFLOP/s of b200 at most: are they of another GPU?"));
}

TEST_CASE("Too few timings for an axis are refused where no table tells how it goes on") {
  std::string text = "dtype,m,n,k,us\n";
  for (const int n : {1024, 2048})
    for (const int k : {1024, 2048})
      text += fmt::format("bfloat16,4096,{},{},{}\n", n, k, 2.0 * 4096 * n * k / 500e6);
  CHECK(has(complaint(text, "mi300x"),
            "products.bf16: expected timings with 2 values of m or more, or a --base that has such "
            "a table; all 4 have m = 4096"));
  CHECK(has(complaint("dtype,m,n,k,us\nbfloat16,1025,1024,1024,9\n"),
            "products.bf16: of 1 timings none can be used"));
  const TemporaryFolder folder;
  folder.write("gemm.csv", text);
  CHECK(run("hardware-fit gemm.csv -o out.json --base h100", {.folder = folder.path()}).exit_code ==
        0);
  folder.write("more.csv", products({1024, 4096}));
  CHECK(
      run("hardware-fit more.csv -o out.json --base mi300x", {.folder = folder.path()}).exit_code ==
      0);
  const json mine = json::parse(contents(folder / "out.json"));
  CHECK(mine["kernels"]["products"].size() == 1);
  CHECK(mine["sustained"]["bf16"] == 1);
}

TEST_CASE("Attention's backward takes what was timed of it, not a factor") {
  std::string text = "pass,batch_size,isl,num_heads,num_key_value_heads,head_dim,us\n";
  for (const auto& [pass, factor] : {std::pair("forward", 1), {"backward", 4}})
    for (const int heads : {8, 64})
      for (const int sequence : {2048, 8192})
        text += fmt::format("{},1,{},{},{},128,{}\n", pass, sequence, heads, heads / 8,
                            factor * 1e-6 * heads * sequence * sequence);
  const TemporaryFolder folder;
  folder.write("attention.csv", text);
  const ProcessOptions there = {.folder = folder.path()};
  const auto backward_over = [&](const std::string& more) {
    output("hardware-fit attention.csv --base h100 -o mine.json" + more, there);
    const json costs = json::parse(output(
        "costs -p 4 --model llama-3.1-70b --tp 8 --format json --hardware mine.json", there));
    return costs["stages"][1]["input_grad_ns"].get<double>();
  };
  CHECK(backward_over("") == backward_over(" --sustained attention-backward=9"));
  const json mine = json::parse(contents(folder / "mine.json"));
  CHECK(mine["kernels"]["attention_backward"]["us"].size() > 4);
  CHECK(schema_faults(json::parse(contents(source_file("data/schema/kernels.schema.json"))),
                      mine["kernels"]) == std::vector<std::string>());
  const KernelTables tables = *parse_hardware(mine.dump(), "mine.json").kernels;
  const KernelGrid::Point point = {128, 8, 64, 8192};
  CHECK(tables.attention_backward->seconds(point) ==
        doctest::Approx(4 * tables.attention->seconds(point)).epsilon(0.01));
  text.replace(text.find("backward,1"), 8, "backwards");
  folder.write("attention.csv", text);
  CHECK(has(run("hardware-fit attention.csv --base h100 -o mine.json", there).err,
            "pass: expected forward, backward, got 'backwards'; did you mean 'backward'?"));
}

TEST_CASE("What hardware-fit needs on its command line is said") {
  const TemporaryFolder folder;
  folder.write("gemm.csv", products({1024, 4096}));
  const auto told = [&](const std::string& words) {
    const ProcessResult result = run("hardware-fit " + words, {.folder = folder.path()});
    CHECK(result.exit_code == kUsage);
    return result.err;
  };
  CHECK(has(told("gemm.csv -o out.json"), "--base is required"));
  CHECK(has(told("gemm.csv --base h100"), "-o/--output is required"));
  CHECK(has(told("--base h100 -o out.json"), "expected files of kernel timings"));
  CHECK(has(told("gemm.csv --base h1000 -o out.json"), "h100"));
  CHECK(has(told("gemm.csv --base h100 -o gemm.csv"), "take another file"));
  CHECK(has(told("gemm.csv --base h100 -o o.json --sustained bf17=1"), "did you mean 'bf16'?"));
  CHECK(has(told("gemm.csv --base h100 -o o.json --sustained bf16"), "WHAT=FACTOR"));
  folder.write("twice.csv", products({1024, 4096}));
  const ProcessResult twice =
      run("hardware-fit gemm.csv twice.csv --base h100 -o out.json", {.folder = folder.path()});
  CHECK(twice.exit_code == kBadInput);
  CHECK(has(twice.err, "twice.csv: line 2: has the shape of gemm.csv: line 2"));
}

}  // namespace bubblescope

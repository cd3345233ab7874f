// Times of kernels between the nodes of their grids, as a second implementation gives them, and
// tables that are wrong.
#include "sim/transformer/kernel_tables.h"

#include <cmath>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

KernelTables tables(const std::string& gpu) {
  return read_kernel_tables(source_file("data/kernels/" + gpu + ".json").string());
}

/// By the name that the file has for the table.
double microseconds(const KernelTables& tables, const std::string& table,
                    const KernelGrid::Point& point) {
  if (table == "collectives.all_gather")
    return tables.all_gather->seconds(point[0], point[1]) * 1e6;
  const auto& grid = table == "products.bf16"        ? tables.bf16
                     : table == "products.fp8"       ? tables.fp8_tensor
                     : table == "products.fp8_block" ? tables.fp8_block
                     : table == "attention"          ? tables.attention
                                                     : tables.latent_attention;
  return grid->seconds(point) * 1e6;
}

struct Case {
  const char* gpu;
  const char* table;
  KernelGrid::Point point;
  double us;
};
// Beyond the nodes and between them.
const Case kCases[] = {
    {"a100-80g", "products.bf16", {1024, 1024, 1024}, 14.84},
    {"a100-80g", "products.bf16", {4096, 4096, 4096}, 519.3},
    {"a100-80g", "products.bf16", {300, 5000, 700}, 16.473075},
    {"a100-80g", "products.bf16", {8192, 3072, 12288}, 2395.7542},
    {"a100-80g", "products.bf16", {65536, 12288, 4096}, 25624},
    {"a100-80g", "products.bf16", {4096, 128256, 8192}, 32878.125},
    {"a100-80g", "attention", {128, 1, 64, 4096}, 2136},
    {"a100-80g", "attention", {128, 8, 32, 8192}, 3923},
    {"a100-80g", "attention", {64, 1, 96, 2048}, 565.15568},
    {"a100-80g", "attention", {96, 1, 48, 2048}, 411.4639},
    {"a100-80g", "attention", {192, 4, 100, 3000}, 2778.0448},
    {"a100-80g", "attention", {128, 16, 128, 131072}, 3774367.2},
    {"a100-80g", "mla", {128, 4096}, 4615},
    {"a100-80g", "mla", {64, 8192}, 8930},
    {"a100-80g", "mla", {16, 1000}, 78.565809},
    {"a100-80g", "mla", {1, 512}, 28.78},
    {"a100-80g", "mla", {2, 100}, 29.549707},
    {"a100-80g", "mla", {100, 5000}, 5323.5183},
    {"a100-80g", "collectives.all_gather", {8, 1048576}, 26.73},
    {"a100-80g", "collectives.all_gather", {8, 67108864}, 352.7},
    {"a100-80g", "collectives.all_gather", {4, 100000000}, 452.97279},
    {"a100-80g", "collectives.all_gather", {2, 1000}, 9.0708021},
    {"a100-80g", "collectives.all_gather", {3, 5000000}, 56.385832},
    {"a100-80g", "collectives.all_gather", {6, 123456789}, 580.70709},
    {"h100-sxm", "products.bf16", {1024, 1024, 1024}, 6.027},
    {"h100-sxm", "products.bf16", {4096, 4096, 4096}, 184.4},
    {"h100-sxm", "products.bf16", {300, 5000, 700}, 6.7275125},
    {"h100-sxm", "products.bf16", {8192, 3072, 12288}, 764.8722},
    {"h100-sxm", "products.bf16", {65536, 12288, 4096}, 8566},
    {"h100-sxm", "products.bf16", {4096, 128256, 8192}, 11591.496},
    {"h100-sxm", "products.fp8", {1024, 1024, 1024}, 15.77},
    {"h100-sxm", "products.fp8", {4096, 4096, 4096}, 147.9},
    {"h100-sxm", "products.fp8", {300, 5000, 700}, 15.562515},
    {"h100-sxm", "products.fp8", {8192, 3072, 12288}, 658.89683},
    {"h100-sxm", "products.fp8", {65536, 12288, 4096}, 5038},
    {"h100-sxm", "products.fp8", {4096, 128256, 8192}, 6256.6289},
    {"h100-sxm", "products.fp8_block", {1024, 1024, 1024}, 8.658},
    {"h100-sxm", "products.fp8_block", {4096, 4096, 4096}, 152.8},
    {"h100-sxm", "products.fp8_block", {300, 5000, 700}, 8.1525049},
    {"h100-sxm", "products.fp8_block", {8192, 3072, 12288}, 644.2255},
    {"h100-sxm", "products.fp8_block", {65536, 12288, 4096}, 5800},
    {"h100-sxm", "products.fp8_block", {4096, 128256, 8192}, 7113.8086},
    {"h100-sxm", "attention", {128, 1, 64, 4096}, 676.7},
    {"h100-sxm", "attention", {128, 8, 32, 8192}, 1069},
    {"h100-sxm", "attention", {64, 1, 96, 2048}, 229.15314},
    {"h100-sxm", "attention", {96, 1, 48, 2048}, 161.41151},
    {"h100-sxm", "attention", {192, 4, 100, 3000}, 874.42368},
    {"h100-sxm", "attention", {128, 16, 128, 131072}, 1040100.2},
    {"h100-sxm", "mla", {128, 4096}, 1263},
    {"h100-sxm", "mla", {64, 8192}, 2382},
    {"h100-sxm", "mla", {16, 1000}, 37.664775},
    {"h100-sxm", "mla", {1, 512}, 22.74},
    {"h100-sxm", "mla", {2, 100}, 23.26885},
    {"h100-sxm", "mla", {100, 5000}, 1472.3853},
    {"h100-sxm", "collectives.all_gather", {8, 1048576}, 17.16},
    {"h100-sxm", "collectives.all_gather", {8, 67108864}, 208.8},
    {"h100-sxm", "collectives.all_gather", {4, 100000000}, 273.24058},
    {"h100-sxm", "collectives.all_gather", {2, 1000}, 5.2394811},
    {"h100-sxm", "collectives.all_gather", {3, 5000000}, 34.306192},
    {"h100-sxm", "collectives.all_gather", {6, 123456789}, 347.67275},
    {"b200", "products.bf16", {1024, 1024, 1024}, 4.305},
    {"b200", "products.bf16", {4096, 4096, 4096}, 101.1},
    {"b200", "products.bf16", {300, 5000, 700}, 4.3844461},
    {"b200", "products.bf16", {8192, 3072, 12288}, 481.63417},
    {"b200", "products.bf16", {65536, 12288, 4096}, 3990},
    {"b200", "products.bf16", {4096, 128256, 8192}, 5509.043},
    {"b200", "products.fp8", {1024, 1024, 1024}, 17.65},
    {"b200", "products.fp8", {4096, 4096, 4096}, 80.84},
    {"b200", "products.fp8", {300, 5000, 700}, 16.239172},
    {"b200", "products.fp8", {8192, 3072, 12288}, 356.20849},
    {"b200", "products.fp8", {65536, 12288, 4096}, 2434},
    {"b200", "products.fp8", {4096, 128256, 8192}, 2829.8672},
    {"b200", "products.fp8_block", {1024, 1024, 1024}, 7.706},
    {"b200", "products.fp8_block", {4096, 4096, 4096}, 56.5},
    {"b200", "products.fp8_block", {300, 5000, 700}, 7.621652},
    {"b200", "products.fp8_block", {8192, 3072, 12288}, 265.1526},
    {"b200", "products.fp8_block", {65536, 12288, 4096}, 2378},
    {"b200", "products.fp8_block", {4096, 128256, 8192}, 2941.418},
    {"b200", "attention", {128, 1, 64, 4096}, 374.6},
    {"b200", "attention", {128, 8, 32, 8192}, 551.6},
    {"b200", "attention", {64, 1, 96, 2048}, 159.25965},
    {"b200", "attention", {96, 1, 48, 2048}, 108.82136},
    {"b200", "attention", {192, 4, 100, 3000}, 434.46634},
    {"b200", "attention", {128, 16, 128, 131072}, 505567.78},
    {"b200", "mla", {128, 4096}, 649.7},
    {"b200", "mla", {64, 8192}, 1130},
    {"b200", "mla", {16, 1000}, 31.010059},
    {"b200", "mla", {1, 512}, 21.59},
    {"b200", "mla", {2, 100}, 21.64493},
    {"b200", "mla", {100, 5000}, 736.21941},
    {"b200", "collectives.all_gather", {8, 1048576}, 18.78},
    {"b200", "collectives.all_gather", {8, 67108864}, 137.7},
    {"b200", "collectives.all_gather", {4, 100000000}, 152.07755},
    {"b200", "collectives.all_gather", {2, 1000}, 8.8342394},
    {"b200", "collectives.all_gather", {3, 5000000}, 27.877078},
    {"b200", "collectives.all_gather", {6, 123456789}, 190.78352},
};

}  // namespace

TEST_CASE("Kernels take what a second implementation reads of their tables") {
  for (const Case& each : kCases) {
    CAPTURE(each.gpu);
    CAPTURE(each.table);
    CHECK(microseconds(tables(each.gpu), each.table, each.point) ==
          doctest::Approx(each.us).epsilon(1e-6));
  }
}

TEST_CASE("Tables of kernels with holes, or of another order, are refused with their place") {
  const json good = json::parse(contents(source_file("data/kernels/a100-80g.json")));
  const auto complaint = [](const json& text) {
    return error_of([&] { parse_kernel_tables(text.dump(), "mine.json"); });
  };
  CHECK(complaint(good) == "");
  json changed = good;
  changed["products"]["bf16"]["us"].erase(0);
  CHECK(complaint(changed).starts_with("mine.json: /products/bf16/us: expected "));
  changed = good;
  changed["products"]["bf16"]["us"][3] = -1;
  CHECK(complaint(changed).starts_with("mine.json: /products/bf16/us/3: expected a number"));
  changed["products"]["bf16"]["us"][3] = 0;
  CHECK(complaint(changed) == "mine.json: /products/bf16/us: expected numbers above 0, got 0");
  changed = good;
  changed["attention"]["heads"][1] = 1;
  CHECK(complaint(changed) == "mine.json: /attention/heads: expected rising numbers");
  changed = good;
  changed["products"]["fp4"] = good["products"]["bf16"];
  CHECK(complaint(changed).starts_with("mine.json: /products/fp4: unknown key"));
}

TEST_CASE("Tables of kernels are read where the hardware names some, unless they are off") {
  const auto costs = [](const std::string& more) {
    return output_json("costs -p 4 --model llama-3.1-70b --hardware h100 --parallel tp=8 " + more);
  };
  const json plain = costs("--kernel-tables off");
  CHECK(plain["inputs"]["kernel_tables"] == nullptr);
  const json timed = costs("");
  CHECK(timed["inputs"]["kernel_tables"] == "h100-sxm");
  CHECK(timed["stages"][1]["forward_ns"] != plain["stages"][1]["forward_ns"]);
  CHECK(timed["stages"][1]["weight_bytes"] == plain["stages"][1]["weight_bytes"]);
  const json block = costs("--kernel-tables off --precision fp8");
  const json tensor = costs("--kernel-tables off --precision fp8 --fp8-recipe tensor");
  CHECK(tensor["stages"][1]["weight_grad_ns"] < block["stages"][1]["weight_grad_ns"]);
  CHECK(tensor["stages"][1]["forward_ns"] == block["stages"][1]["forward_ns"]);
  // As many tokens as the model is wide: no forward is taken for a gradient of weights.
  CHECK(
      std::abs(
          costs("--kernel-tables on --sequence 8192")["stages"][1]["forward_ns"].get<double>() /
              costs("--kernel-tables on --sequence 8184")["stages"][1]["forward_ns"].get<double>() -
          1) < 0.01);
  CHECK(has(run("costs -p 4 --model llama-3.1-70b --hardware l40s --kernel-tables on").err,
            "l40s names none"));
  const ProcessResult refused =
      run("costs -p 4 --model llama-3.1-70b --hardware h100 --fp8-recipe tensor");
  CHECK(refused.exit_code == kUsage);
  CHECK(has(refused.err, "--fp8-recipe needs --precision fp8"));
}

}  // namespace bubblescope

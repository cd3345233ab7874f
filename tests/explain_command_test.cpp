// `explain` from outside: its views agree with one another and with `simulate`.
#include <cstdint>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/golden.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kCosts = " --forward 10us --input-grad 11us --weight-grad 8us";

}  // namespace

TEST_CASE("explain tells a small 1F1B as the golden text has it") {
  check_golden("explain_1f1b.txt", output("explain 1f1b -p 4 -m 8 --p2p 1us" + kCosts));
  check_golden("explain_1f1b.md", output("explain 1f1b -p 4 -m 8 --p2p 1us --format md" + kCosts));
  check_golden("explain_formulas.txt", output("explain dualpipe"));
}

TEST_CASE("explain's JSON adds up: costs on the path to the step, intervals to the idle time") {
  for (const std::string subject :
       {"1f1b -p 4 -m 8", "dualpipe -p 4 -m 10 --overlapped 25us", "zb-h1 -p 4 -m 9 --p2p 1us",
        "zb-v -p 4 -m 9 --comm stream --p2p 2us", "v-auto -p 4 -m 9"}) {
    CAPTURE(subject);
    const json why = output_json("explain " + subject + kCosts);
    const json figures = output_json("simulate " + subject + kCosts);
    CHECK(why["step_time_ns"] == figures["step_time_ns"]);
    std::int64_t step = 0;
    for (const auto& [cost, count] : why["linear_form"].items())
      step += count.get<std::int64_t>() * why["costs_ns"][cost].get<std::int64_t>();
    CHECK(step == why["step_time_ns"]);
    std::vector<std::int64_t> idle(4);
    for (const json& bubble : why["idle"]) {
      idle[bubble["rank"].get<std::size_t>()] +=
          bubble["end_ns"].get<std::int64_t>() - bubble["start_ns"].get<std::int64_t>();
      CHECK(!bubble["blocked_by"].empty());
      CHECK(bubble["cause"].is_string());
    }
    for (std::size_t rank = 0; rank < 4; ++rank) {
      CHECK(idle[rank] == figures["per_rank"][rank]["idle_ns"]);
      std::int64_t formula = 0;
      for (const auto& [cost, count] : why["idle_form"][rank].items())
        formula += count.get<std::int64_t>() * why["costs_ns"][cost].get<std::int64_t>();
      CHECK(formula == idle[rank]);
    }
    std::int64_t end = 0;
    for (const json& node : why["critical_path"]) {
      CHECK(node["start_ns"].get<std::int64_t>() >= end);
      end = node["end_ns"].get<std::int64_t>();
    }
    CHECK(end == why["step_time_ns"]);
  }
}

TEST_CASE("explain's CSV has a row for each idle interval of its JSON") {
  const std::string subject = "explain zb-h1 -p 4 -m 8" + kCosts;
  const std::vector<std::string> rows = lines(output(subject + " --format csv"));
  CHECK(rows.size() == 1 + output_json(subject)["idle"].size());
  CHECK(output("explain 1f1b -p 1 -m 1 --format csv" + kCosts) == rows[0] + "\n");  // never idle
}

TEST_CASE("explain works where links are shared and where stages differ, with what can be told") {
  const json shared = output_json("explain 1f1b -p 4 -m 8 --message 10MB --ranks-per-node 2" +
                                  std::string(" --nic 10GB/s --inter-p2p 1us") + kCosts);
  CHECK(shared["region"].is_null());
  CHECK(shared["levers"].empty());
  CHECK(!shared["idle"].empty());
  const json uneven = output_json(
      "explain 1f1b -p 16 -m 32 --model deepseek-v3 --hardware h800 "
      "--parallel ep=64,dp=128");
  CHECK(uneven["costs_ns"].is_null());
  CHECK(uneven["levers"].size() > 1);
  bool is_imbalance_seen = false;
  for (const json& bubble : uneven["idle"])
    is_imbalance_seen = is_imbalance_seen || bubble["cause"] == "imbalance";
  CHECK(is_imbalance_seen);
}

TEST_CASE("explain without p and m needs costs of one stage and a schedule with an order") {
  CHECK(run("explain zb-auto").exit_code == kBadInput);
  CHECK(run("explain 1f1b --model deepseek-v3 --hardware h800").exit_code == kUsage);
  CHECK(run("explain 1f1b -m 8" + kCosts).exit_code == kUsage);
  CHECK(has(run("explain 1f1b -m 8" + kCosts).err, "--ranks"));
  CHECK(run("explain 1f1b -v 3").exit_code == kBadInput);
  CHECK(run("explain dualpip").exit_code == kUsage);
}

TEST_CASE("explain without p and m takes notice of each option or refuses it") {
  const std::string pair = "explain dualpipe --overlapped 22us" + kCosts;
  CHECK(has(output(pair), "F&B 22.000 µs"));
  CHECK(has(output(pair + " --overlap sum"), "F&B 29.000 µs"));
  for (const std::string option :
       {"--memory-limit 8", "--effort 3", "--grad-reduce 1ms", "--optimizer 1ms", "--group-size 4",
        "--channels pair", "--reduce overlapped", "--optimizer-sync none", "--dialect current",
        "--objective step", "--effort 1", "--reduce after", "--optimizer-sync global"}) {
    CAPTURE(option);
    CHECK(run("explain interleaved-1f1b " + option + kCosts).exit_code == kUsage);
  }
}

TEST_CASE("explain tells what each rank waits for when gradients are reduced") {
  const json why = output_json("explain 1f1b -p 4 -m 8 --grad-reduce 1ms --optimizer 1ms" + kCosts);
  REQUIRE(why["synchronisation"].size() == 4);
  // All reduce after their last action: rank 0's, the last to end, is the last.
  const std::int64_t all = why["step_time_ns"].get<std::int64_t>() + 1'000'000;
  for (const json& rank : why["synchronisation"]) {
    CHECK(rank["end_ns"] == all);
    CHECK(rank["blocked_by"] == "gradients of rank 0");
    CHECK(rank["optimized_ns"] == all + 1'000'000);
  }
  CHECK(why["synchronisation"][3]["start_ns"] == all - 3 * 19'000);
}

}  // namespace bubblescope

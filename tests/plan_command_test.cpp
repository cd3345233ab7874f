// bubblescope plan, as a user types it.
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/effort.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kPlan = "plan --model llama-3.1-8b --hardware h100-sxm";
const std::string kSmall = kPlan + " --gpus 16 --global-batch 32 --sequence 4096";
const std::string kExperts =
    "plan --model qwen3-30b-a3b --hardware h800 --gpus 32 --global-batch 64 --sequence 4k";

/// Runs the commands of some rows, and compares.
void check_commands(const json& rows) {
  for (std::size_t i = 0; i < rows.size(); i += 1 + rows.size() / 6) {
    const json& row = rows[i];
    std::string command = row["command"];
    std::erase(command, '\'');  // no shell reads it
    CAPTURE(command);
    REQUIRE(command.starts_with("bubblescope simulate "));
    const json run = output_json(command.substr(std::string("bubblescope ").size()));
    CHECK(run["iteration_time_ns"] == row["iteration_time_ns"]);
    for (const char* key : {"step_time_ns", "bubble_fraction", "peak_memory_bytes",
                            "device_memory_bytes", "chunks", "microbatches", "schedule"})
      CHECK_MESSAGE(run[key] == row[key], key);
    CHECK(row["weight_bytes"].get<std::int64_t>() + row["activation_bytes"].get<std::int64_t>() ==
          row["peak_memory_bytes"].get<std::int64_t>());
    std::int64_t exposed = 0;
    for (const json& rank : run["per_rank"])
      exposed += rank["exposed_comm_ns"].get<std::int64_t>();
    CHECK(row["exposed_comm_ns"] == exposed / run["ranks"].get<std::int64_t>());
    for (const char* key : {"tokens_per_second", "mfu", "mfu_full_attention"})
      CHECK(run[key].get<double>() == doctest::Approx(row[key].get<double>()).epsilon(1e-12));
  }
}

/// Runs a line that writes a file.
void write(const std::string& line, const ProcessOptions& options) {
  const ProcessResult result = run(line, options);
  CHECK_MESSAGE(result.exit_code == 0, result.err);
  CHECK(result.out.empty());
}

}  // namespace

TEST_CASE("The command of each row of a plan gives the row, to the nanosecond") {
  std::vector<std::string> all = {
      kExperts + " --schedules 1f1b,dualpipev --layout balanced --top 3",
      kSmall,
      kExperts,
      kSmall + " --comm stream --schedules 1f1b,vpp --zero 2",
      kExperts + " --like megatron --tp 1,2",
      kSmall + " --like torchtitan",
      kSmall + " --precision fp8 --fp8-recipe tensor --reduce overlapped --optimizer-sync none",
      kExperts + " --dispatch alltoall --sequence-parallel off --tp 1"};
  if (kSanitized)  // each has dozens of rows to run
    all.resize(1);
  for (const std::string& line : all) {
    CAPTURE(line);
    const json plan = output_json(line);
    REQUIRE(!plan["results"].empty());
    check_commands(plan["results"]);
    check_commands(plan["pareto"]);
    check_commands(plan["with_more_memory"]);
    check_commands(json::array({plan["simplest"]}));
    check_commands(plan["finalists"]);
    for (const json& opened : plan["opened"])
      if (!opened["quickest"].is_null())
        check_commands(json::array({opened["quickest"]}));
  }
}

TEST_CASE("A plan is ordered by time, and its counts add up") {
  const json plan = output_json(kSmall + " --top 1000");
  std::int64_t last = 0;
  std::size_t ties = 0;
  for (const json& row : plan["results"]) {
    CHECK(row["iteration_time_ns"] >= last);
    last = row["iteration_time_ns"];
    CHECK(row["fits"] == true);
    CHECK(row["tp"].get<int>() * row["cp"].get<int>() * row["pp"].get<int>() *
              row["dp"].get<int>() ==
          16);
    ties += row["ties_with_best"] ? 1U : 0U;
  }
  CHECK(plan["ties"] == ties);
  CHECK(plan["configurations"] == plan["simulated"].get<int>() +
                                      plan["excluded_by_bound"].get<int>() +
                                      plan["infeasible"].get<int>());
  CHECK(plan["complete"] == true);
  CHECK(without_provenance(output_json(kSmall + " --top 1000 --exhaustive"))["results"] ==
        plan["results"]);
}

TEST_CASE("--all writes each configuration once, as CSV or as lines of JSON") {
  const std::string line = kSmall + " --tp 1,2 --cp 1 --all --format ";
  const json plan = output_json(kSmall + " --tp 1,2 --cp 1");
  const auto rows = lines(output(line + "json"));
  CHECK(rows.size() == plan["configurations"]);
  CHECK(lines(output(line + "csv")).size() == rows.size() + 1);
  std::map<std::string, std::size_t> states;
  for (const std::string& row : rows)
    ++states[json::parse(row)["state"]];
  CHECK(states["simulated"] == plan["simulated"]);
  CHECK(states["excluded"] == plan["excluded_by_bound"]);
  CHECK(states["does not fit"] == plan["infeasible"]);
}

TEST_CASE("What a plan cannot be made of is refused, with what to change") {
  check_failures(
      {{kPlan + " --gpus 16 --global-batch 32 --tp 3",
        {"no configuration is left: 16 GPUs are no multiple", "without --tp there would be some"}},
       {kPlan + " --gpus 7 --global-batch 32 --tp 1 --cp 1 --pp 1",
        {"dp=7 · micro-batch size 1 does not divide the batch of 32 sequences",
         "without --pp there would be some"}},
       {kPlan + " --gpus 16 --global-batch 32 --tp 16",
        {"tp=16 does not stay within the 8 GPUs of a node of h100-sxm"}},
       {kPlan + " --gpus 16 --global-batch 32 --pp 8 -v 9",
        {"do not give each of 72 stages one", "without --pp", "without -v"}},
       {kPlan + " --gpus 16 --global-batch 32 --ep 2", {"ep=2", "no experts", "without --ep"}},
       {kPlan + " --gpus 16 --global-batch 32 --pp 2 --schedules dualpipe -v 2",
        {"dualpipe", "without -v", "without --schedules"}}},
      kBadInput);
  // It is simulated on all cores, whose threads have more address space than a refusal may need.
  const ProcessResult tight = run(kPlan + " --gpus 16 --global-batch 32 --memory-limit 1GiB");
  CHECK(tight.exit_code == kBadInput);
  for (const char* part : {"no configuration fits 1.0 GiB a GPU: the least memory that would do is",
                           " GiB, by ", "bubblescope simulate "})
    CHECK_MESSAGE(has(tight.err, part), tight.err);
  check_failures({{"plan --gpus 16 --global-batch 32", {"--gpus needs --model"}},
                  {"plan", {"--model is required"}},
                  {kPlan + " --global-batch 32", {"--gpus is required"}},
                  {kSmall + " --tp 2,2", {"--tp: 2 is given twice"}},
                  {kSmall + " --schedules nosuch", {"there is no schedule 'nosuch'"}},
                  {kSmall + " --schedules v-auto", {"v-auto is made for the best divisions"}},
                  {kSmall + " --recompute some", {"expected none|selective|full"}},
                  {kSmall + " --tokens many", {"a number of tokens such as 15T"}},
                  {kSmall + " --price 2", {"--price needs --tokens"}},
                  {kSmall + " --dp 4", {"there is no option --dp"}},
                  {kSmall + " --memory-limit 80", {"--memory-limit"}}},
                 kUsage);
}

TEST_CASE("Shards of a plan put together give its bytes, but for how much was simulated") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  const auto without_counts = [](const std::string& text) {
    json plan = json::parse(text);
    for (const char* key : {"simulated", "excluded_by_bound", "infeasible", "verdict"})
      plan.erase(key);
    return plan.dump();
  };
  const std::string line =
      kExperts + (kSanitized ? " --tp 2 --ep 8 --schedules 1f1b" : " --tp 1,2");
  const std::string whole = output(line + " --format json");
  for (const int shards : {1, 3, 8}) {
    CAPTURE(shards);
    std::string files;
    for (int shard = shards; shard >= 1; --shard) {
      const std::string file = fmt::format("{}.json", shard);
      write(fmt::format("{} --shard {}/{} -o {}", line, shard, shards, file), there);
      files += " " + file;
    }
    CHECK(without_counts(output("plan merge --format json" + files, there)) ==
          without_counts(whole));
  }
}

TEST_CASE("Schedules are made for the same divisions, whatever was excluded and in shards") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  const std::string line = kPlan +
                           " --gpus 16 --global-batch 64 --pp 1,8 --schedules 1f1b,zb-h1,v-auto "
                           "--memory-limit 200GB --recompute none,full";
  const json plan = output_json(line);
  CHECK(plan["finalists"] == output_json(line + " --exhaustive")["finalists"]);
  for (const int shard : {1, 2})
    write(fmt::format("{} --shard {}/2 -o {}.json", line, shard, shard), there);
  const json merged = json::parse(output("plan merge --format json 1.json 2.json", there));
  CHECK(merged["finalists"] == plan["finalists"]);
  CHECK(merged["opened"] == plan["opened"]);
}

TEST_CASE("What stands first of several ways to run one rank is one of them") {
  const json plan = output_json(kPlan + " --gpus 13 --global-batch 13 --recompute none");
  std::size_t alone = 0;
  for (const json& row : plan["results"])
    if (row["pp"] == 1 && row["microbatch_size"] == 1) {
      ++alone;
      CHECK((row["schedule"] == "1f1b" || row["schedule"] == "dualpipev"));
    }
  CHECK(alone == 1);
  check_failures({{kPlan + " --gpus 1 --tp 1 --global-batch 2147483647", {"forwards a step"}}},
                 kBadInput);
}

TEST_CASE("Shards that do not belong together are refused") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  const std::string line = kSmall + " --tp 1 --cp 1 --schedules 1f1b --shard ";
  write(line + "1/2 -o one.json", there);
  write(line + "2/2 -o two.json", there);
  write(line + "2/3 -o third.json", there);
  write(line + "2/2 --zero 2 -o other.json", there);
  std::string text = contents(folder / "two.json");
  const std::size_t at = text.find("\"version\":\"") + 11;
  folder.write("old.json", text.substr(0, at) + "0.0.1" + text.substr(text.find('"', at)));
  const auto refusal = [&](const std::string& files, int exit_code) {
    const ProcessResult result = run("plan merge " + files, there);
    CHECK(result.exit_code == exit_code);
    return result.err;
  };
  CHECK(has(refusal("one.json", kBadInput), "shard 2 of 2 is missing"));
  CHECK(has(refusal("one.json one.json", kBadInput), "are both shard 1 of 2"));
  CHECK(has(refusal("one.json third.json", kBadInput), "one.json is one of 2 shards, and"));
  CHECK(has(refusal("one.json other.json", kBadInput), "are shards of different questions"));
  CHECK(has(refusal("one.json old.json", kBadInput), "is of version 0.0.1, and this is"));
  CHECK(has(refusal("one.json nosuch.json", kBadInput), "nosuch.json"));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    folder.write("changed.json", other.replace(other.find(from), from.size(), to));
    return refusal("one.json changed.json", kBadInput);
  };
  CHECK(has(changed("\"shards\":2", "\"shards\":2000000000"), "there is no shard 2 of 2000000000"));
  CHECK(has(changed("\"complete\":true", "\"complete\":false"), "was interrupted: run it again"));
  const std::size_t rows = text.find("\"rows\":[[");
  REQUIRE(rows != std::string::npos);
  const std::size_t end = text.find("]]", rows);
  CHECK(has(changed(text.substr(rows, end + 2 - rows), "\"rows\":[]"), "rows that were simulated"));
  CHECK(has(refusal("", kUsage), "needs the files of all shards"));
  CHECK(has(refusal("one.json two.json --tp 2", kUsage), "plan merge takes no --tp=2"));
  check_failures({{line + "3/2", {"--shard: there is no shard 3 of 2"}},
                  {line + "1", {"expected a shard such as 2/8"}},
                  {line + "1/2 --all", {"--all"}},
                  {kSmall + " other", {"unexpected argument 'other'"}}},
                 kUsage);
}

TEST_CASE("A plan that is interrupted prints what is known, and says that it is not the whole") {
  if (kSanitized)  // bounds alone take longer
    return;
  const ProcessResult result = run_shell(
      "timeout --preserve-status -s INT 3 bubblescope plan --model llama-3.1-405b --hardware "
      "h100-sxm --gpus 4096 --global-batch 4096 --exhaustive --format json");
  if (result.out.empty()) {  // a machine so busy that nothing was simulated
    CHECK(result.exit_code == kBadInput);
    CHECK(has(result.err, "interrupted before any configuration that fits was simulated"));
    return;
  }
  CHECK(result.exit_code == 0);
  CHECK(has(result.err, "interrupted: what follows is known so far, and not the whole"));
  const json plan = json::parse(result.out);
  CHECK(plan["complete"] == false);
  CHECK(has(plan["verdict"], "; not the whole: "));
  CHECK(plan["opened"].empty());
  CHECK(plan["finalists"].empty());
}

TEST_CASE("Interleaved stages send as the framework does it") {
  const std::string like = kSmall + " --like megatron --pp 4 --schedules ";
  const auto comms = [&](const std::string& more) {
    std::string all;
    const json plan = output_json(like + more);
    for (const json& row : plan["results"])
      if (const std::string comm = row["comm"]; !has(all, comm.c_str()))
        all += comm;
    return all;
  };
  CHECK(comms("1f1b") == "batched");
  CHECK(comms("interleaved-1f1b") == "stream");
  CHECK(comms("interleaved-1f1b --comm batched") == "batched");
  const std::string job =
      " -p 4 -m 8 --model llama-3.1-8b --hardware h100-sxm --sequence 4096 --microbatch-size 1 ";
  const auto time = [&](const std::string& line) {
    return output_json("simulate " + line)["step_time_ns"].get<std::int64_t>();
  };
  const std::string vpp = "interleaved-1f1b -v 2" + job;
  CHECK(time(vpp + "--like megatron") == time(vpp + "--like megatron --comm stream"));
  CHECK(time(vpp + "--like megatron --comm batched") > time(vpp + "--like megatron"));
  CHECK(time("1f1b" + job + "--like megatron") ==
        time("1f1b" + job + "--like megatron --comm batched"));
}

TEST_CASE("One rank has F&B pairs too, which hide what experts send") {
  const std::string line =
      "plan --model qwen3-30b-a3b --hardware h100-sxm --gpus 8 --global-batch 64 --cp 1 --pp 1 "
      "--ep 8 "
      "--tp 1 --microbatch-size 1 --recompute none --reduce overlapped --memory-limit 2000GB";
  const json best = output_json(line)["results"][0];
  CHECK(best["schedule"] == "interleaved-1f1b-overlap");
  const json plain = output_json(line + " --schedules 1f1b")["results"][0];
  CHECK(best["iteration_time_ns"] < plain["iteration_time_ns"]);
  CHECK(has(best["command"], "--memory-limit 2000GB"));
  // With m = 1 there is no pair; a bound is never above the time.
  for (const std::string& row : lines(output(line + " --exhaustive --all --format json"))) {
    const json each = json::parse(row);
    if (each["state"] == "simulated")
      CHECK(each["time_bound_ns"] <= each["iteration_time_ns"]);
  }
}

TEST_CASE("What Megatron-Core has for experts alone is tried where it would take it") {
  const std::string overlap = " --schedules interleaved-1f1b-overlap";
  check_failures({{kSmall + overlap, {"interleaved-1f1b-overlap needs ep > 1"}}}, kBadInput);
  const json plan = output_json(kExperts + overlap + " --recompute none,full --exhaustive");
  for (const json& row : plan["results"]) {
    CHECK(row["recompute"] == "none");
    CHECK(row["ep"] > 1);
  }
}

TEST_CASE("A plan takes an imbalance of experts where they are on several GPUs") {
  const std::string line = kExperts + " --schedules 1f1b --expert-imbalance ";
  const json plan = output_json(line + "1.5");
  REQUIRE_FALSE(plan["results"].empty());
  for (const json& row : plan["results"])
    CHECK(row["ep"] > 1);
  check_failures({{line + "1000 --ep 4", {"at most"}}}, kBadInput);
}

TEST_CASE("A plan with a layout takes the chunks that it is for") {
  const json plan = output_json(
      "plan --model llama-3.1-8b --hardware h100-sxm --gpus 16 --global-batch 32 --pp 2 --tp 1 "
      "--layout Et*3|(t*3|)*8t*5L");
  REQUIRE_FALSE(plan["results"].empty());
  CHECK(plan["results"][0]["chunks"] == 5);
  for (const json& row : plan["with_more_memory"])
    CHECK(row["ties_with_best"] == false);
}

TEST_CASE("--tokens and --price add days and costs to the rows of a plan") {
  const json plan = output_json(kSmall + " --tokens 15T --price 2.5");
  const json& row = plan["results"][0];
  const double days = 15e12 / row["tokens_per_second"].get<double>() / 86'400;
  CHECK(row["days"].get<double>() == doctest::Approx(days));
  CHECK(row["cost"].get<double>() == doctest::Approx(days * 24 * 16 * 2.5));
}

TEST_CASE("A plan's table is no wider than a terminal") {
  const std::string small = kSmall + " --schedules 1f1b,zb-v --tokens 15T --price 2.5";
  for (const std::string& line : {small, kSanitized ? small : kExperts})
    for (const std::string& row : lines(output(line)))
      if (!row.starts_with("  bubblescope") && !row.starts_with("best") && !has(row, "%"))
        CHECK_MESSAGE(row.size() <= 140, row);  // bytes
}

}  // namespace bubblescope

// bubblescope plan --emit: launches of frameworks, which `import` reads back.
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

/// Runs a line that writes a file.
void write(const std::string& line, const ProcessOptions& options) {
  const ProcessResult result = run(line, options);
  CHECK_MESSAGE(result.exit_code == 0, result.err);
  CHECK(result.out.empty());
}

}  // namespace

TEST_CASE("A plan as flags of Megatron-LM, or as torchtitan's TOML, is imported as the plan") {
  const TemporaryFolder folder;
  const ProcessOptions there = {.folder = folder.path()};
  const auto check = [&](const std::string& line, const std::string& framework) {
    if (kSanitized && line.starts_with(kExperts))  // a second each otherwise
      return;
    CAPTURE(line);
    const json best = output_json(line + " --schedules " + framework)["results"][0];
    const std::string file = framework == "megatron" ? "train.sh" : "job.toml";
    write(fmt::format("{} --schedules {} --emit {} -o {}", line, framework, framework, file),
          there);
    const std::string toml = output(fmt::format("import {} {} --gpus {}", framework, file,
                                                best["tp"].get<int>() * best["cp"].get<int>() *
                                                    best["pp"].get<int>() * best["dp"].get<int>()),
                                    there);
    const auto says = [&](const std::string& option, const json& value) {
      CHECK_MESSAGE(has(toml, fmt::format("\n{} = {}\n", option, value.dump())), toml);
    };
    says("NAME", best["schedule"]);
    says("ranks", best["pp"]);
    says("microbatches", best["microbatches"]);
    says("microbatch-size", best["microbatch_size"]);
    says("zero", best["zero"]);
    says("parallel",
         fmt::format("tp={},cp={},ep={},dp={}", best["tp"].get<int>(), best["cp"].get<int>(),
                     best["ep"].get<int>(), best["dp"].get<int>()));
    if (best["chunks"] > 1)
      says("chunks", best["chunks"]);
    if (best["recompute"] == "selective" && framework == "megatron")
      says("recompute", line.starts_with(kExperts) ? "layernorm,moe_act" : "layernorm");
    else if (best["recompute"] != "none")
      says("recompute", best["recompute"]);
  };
  check(kSmall, "megatron");
  check(kSmall + " --pp 4 --memory-limit 40GB --zero 0", "megatron");
  check(kSmall + " --pp 4 --layout balanced --precision fp8 --reduce overlapped", "megatron");
  check(kExperts + " --pp 2,4 --recompute selective", "megatron");
  check(kExperts + " --pp 4 --recompute full --zero 2 --dispatch alltoall", "megatron");
  check(kExperts + " --pp 4 --recompute full --recompute-layers 2", "megatron");
  check(kSmall + " --moments bf16 --zero 2 --pp 1", "megatron");
  check(kSmall, "torchtitan");
  check(kSmall + " --pp 4 -v 2 --recompute full --zero 3", "torchtitan");
  check(kSmall + " --pp 2 -v 1 --precision fp8", "torchtitan");
}

TEST_CASE("What a framework refuses is not written for it") {
  const std::string more =
      " --schedules megatron --emit megatron --pp 2 --cp 2 --attention unfused "
      "--cp-comm allgather --recompute full --recompute-layers 2 ";
  const std::string flags = output(kSmall + more + "--cuda-graphs full --compute-scale 1.1");
  for (const char* part :
       {"--attention-backend unfused", "--cp-comm-type all_gather", "--recompute-method block",
        "--recompute-num-layers 2", "# Not expressed here: --cuda-graphs, --compute-scale."})
    CHECK_MESSAGE(has(flags, part), flags);
  const std::string gathers = kSmall + " --schedules megatron --emit megatron --gather overlapped ";
  CHECK(has(output(gathers + "--reduce overlapped"), "--overlap-param-gather"));
  CHECK_FALSE(has(output(gathers + "--zero 0"), "--overlap-param-gather"));
  check_failures({{gathers + "--zero 1", {"give --reduce overlapped too"}}}, kBadInput);
  const std::string megatron = kSmall + " --schedules megatron --emit megatron ";
  CHECK(has(output(megatron + "--tp 2"), "\nCUDA_DEVICE_MAX_CONNECTIONS=1 torchrun "));
  CHECK_FALSE(has(output(megatron + "--tp 1 --cp 1"), "CUDA_DEVICE_MAX_CONNECTIONS"));
  CHECK(has(output(megatron + "--zero 3 --pp 1"), "--ckpt-format fsdp_dtensor"));
  CHECK(has(output(kExperts + " --schedules megatron --emit megatron"), "--moe-grouped-gemm"));
  const std::string titan = " --schedules torchtitan --emit torchtitan ";
  check_failures(
      {{megatron + "--moments bf16 --zero 0", {"moments in bf16 only with", "--zero 1, 2 or 3"}},
       {megatron + "--tp 8 --tp-overlap on --sequence-parallel off", {"only with sequence"}},
       {kPlan + " --gpus 12 --global-batch 24 --schedules megatron --emit megatron",
        {"12 GPUs do not fill nodes of 8"}},
       {kSmall + titan + "--zero 0 --pp 4 --cp 1", {"torchtitan's DDP"}}},
      kBadInput);
  check_failures({{kSmall + " --pp 4 -v 2 --schedules dualpipev --emit megatron",
                   {"megatron has no dualpipev", "--schedules megatron"}},
                  {kSmall + " --pp 3,4 -v 2 --tp 1 --schedules torchtitan --layout balanced "
                            "--emit torchtitan",
                   {"torchtitan", "layout"}}},
                 kBadInput);
}

TEST_CASE("A launch that would hold more than its plan is not written") {
  const std::string line =
      "plan --model llama-3.1-70b --hardware h100-sxm --gpus 64 "
      "--global-batch 512 --schedules megatron --emit megatron";
  const ProcessResult result = run(line + " --top 100");
  CHECK((has(result.out, "longer than the best plan: Megatron-LM recomputes norms alone") ||
         has(result.err, "Megatron-LM recomputes norms alone")));
}

}  // namespace bubblescope

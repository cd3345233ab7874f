// Options of how a model is trained: recomputation by module, dispatch of experts, the host, the
// loss, a framework's defaults, and one measured iteration to anchor to.
#include <cmath>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/transformer/stage_memory.h"
#include "tests/support/command.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kLlama = " --model llama-3.1-8b --hardware h100 -p 4 ";
const std::string kQwen = " --model qwen3-30b-a3b --hardware h100 -p 4 --ep 8 ";

json costs(const std::string& options) {
  return json::parse(output("costs --format json -q" + options));
}

json phase(const json& costs, const std::string& name, std::size_t stage = 1) {
  for (const json& each : costs["stages"][stage]["phases"])
    if (each["name"] == name)
      return each;
  return {{"duration_ns", 0}, {"sent_bytes", 0}, {"memory_bytes", 0}};
}

double time_of(const json& costs, const std::string& name, std::size_t stage = 1) {
  return phase(costs, name, stage)["duration_ns"];
}

double kept(const json& costs, std::size_t stage = 1) {
  return costs["stages"][stage]["activation_bytes"];
}

}  // namespace

TEST_CASE("A module alone is made again, and nothing of the others") {
  const json none = costs(kLlama);
  const json mlp = costs(kLlama + "--recompute mlp");
  CHECK(time_of(mlp, "recompute_mlp(B)") == time_of(none, "mlp(F)"));
  CHECK(time_of(mlp, "recompute_attn(B)") == 0);
  CHECK(time_of(mlp, "attn(B)") == time_of(none, "attn(B)"));
  // 8 layers of 4,096 tokens: gate and up, and what goes into down, are not kept.
  CHECK(kept(none) - kept(mlp) == 8 * 4096.0 * 14336 * (2 * 2 + 2));
  const json several = costs(kLlama + "--recompute layernorm,moe_act");
  CHECK(kept(several) == kept(costs(kLlama + "--recompute selective")));
  CHECK(several["inputs"]["recompute"] == "layernorm,moe_act");
  const json experts = costs(kQwen + "--recompute moe");
  CHECK(time_of(experts, "recompute_dispatch(B)") == time_of(costs(kQwen), "dispatch(F)"));
  CHECK(kept(experts) < kept(costs(kQwen)));
}

TEST_CASE("The first layers of each stage alone are recomputed") {
  const json none = costs(kLlama);
  const json all = costs(kLlama + "--recompute full");
  for (const int layers : {0, 1, 3, 8, 100}) {
    CAPTURE(layers);
    const json some =
        costs(kLlama + "--recompute full --recompute-layers " + std::to_string(layers));
    const double share = std::min(layers, 8) / 8.0;
    CHECK(time_of(some, "recompute_mlp(B)") ==
          doctest::Approx(share * time_of(all, "recompute_mlp(B)")).epsilon(1e-6));
    CHECK(kept(some) == doctest::Approx((1 - share) * kept(none) + share * kept(all)));
  }
}

TEST_CASE("Tokens go to experts once for each, for each node, or for each GPU") {
  // 12 layers, 4,096 tokens, 8 of 128 experts each, 2,048 wide, on 8 GPUs of one node.
  const json all = costs(kQwen + "--dispatch alltoall");
  CHECK(phase(all, "dispatch(F)")["sent_bytes"] == 12 * 4096.0 * 8 * 2048 * 2 * 7 / 8);
  CHECK(time_of(all, "host(F)") == 12 * 500e3);
  const json gpus = costs(kQwen + "--dispatch hybridep");
  CHECK(phase(gpus, "dispatch(F)")["sent_bytes"] < phase(all, "dispatch(F)")["sent_bytes"]);
  CHECK(time_of(gpus, "host(F)") == 0);
  const json full = costs(kQwen + "--dispatch alltoall --cuda-graphs full");
  CHECK(time_of(full, "host(F)") == 0);
  // Values in fp8 with a scale for each 128, where products are in blocks too.
  const auto sent = [](const std::string& options) {
    return phase(costs(kQwen + options), "dispatch(F)")["sent_bytes"].get<double>();
  };
  CHECK(sent("--precision fp8") == doctest::Approx(sent("") * (1 + 4.0 / 128) / 2));
  CHECK(sent("--precision fp8 --fp8-recipe tensor") == sent(""));
  CHECK(sent("--precision fp8 --dispatch hybridep") == sent("--dispatch hybridep"));
  const json hidden = costs(kQwen + "--dispatch hybridep --dispatch-overlap on");
  CHECK(time_of(hidden, "dispatch(F)") == 0);
  CHECK(time_of(hidden, "mlp(F)") == time_of(gpus, "mlp(F)"));
}

TEST_CASE("The fullest GPU's experts have so many more rows, and as many more bytes to send") {
  const json even = costs(kQwen + "--kernel-tables off");
  const json uneven = costs(kQwen + "--kernel-tables off --expert-imbalance 1.5");
  CHECK(phase(uneven, "dispatch(F)")["sent_bytes"].get<double>() ==
        doctest::Approx(1.5 * phase(even, "dispatch(F)")["sent_bytes"].get<double>()));
  CHECK(phase(uneven, "mlp(F)")["flops"].get<double>() ==
        doctest::Approx(1.5 * phase(even, "mlp(F)")["flops"].get<double>()));
  CHECK(time_of(uneven, "attn(F)") == time_of(even, "attn(F)"));
}

TEST_CASE(
    "A host that launches slowly keeps the GPU waiting, layer by layer and action by action") {
  const std::string job = " --model llama-3.1-8b --hardware a100 -p 4 --sequence 256 ";
  const json slow = costs(job);
  const double runs = time_of(slow, "attn(F)") + time_of(slow, "mlp(F)");
  CHECK(runs < 8 * 0.8e6);
  CHECK(runs + time_of(slow, "host(F)") == doctest::Approx(8 * 0.8e6 + 0.95e6).epsilon(1e-5));
  const json graphs = costs(job + "--cuda-graphs full");
  CHECK(time_of(graphs, "host(F)") == 0);
  CHECK(time_of(graphs, "attn(F)") == time_of(slow, "attn(F)"));
  const json large = costs(" --model llama-3.1-8b --hardware a100 -p 4 --sequence 32k ");
  CHECK(time_of(large, "host(F)") == 0.95e6);
}

TEST_CASE("A loss keeps logits in fp32 unless it is fused, and all of them where it gathers") {
  const std::string job = kLlama + "--tp 2 --dp 1 ";
  const double logits = 4096.0 * 128256;
  const json fused = costs(job);
  const json unfused = costs(job + "--loss unfused");
  const json gathered = costs(job + "--loss gathered");
  CHECK(kept(unfused, 3) - kept(fused, 3) == 2 * logits / 2);
  const auto weights = [](const json& of) { return of["stages"][3]["weight_bytes"].get<double>(); };
  CHECK(weights(unfused) - weights(fused) == doctest::Approx(10 * logits / 2).epsilon(0.01));
  CHECK(weights(gathered) - weights(fused) == doctest::Approx(22 * logits).epsilon(0.01));
  CHECK(time_of(gathered, "head(F)", 3) > time_of(unfused, "head(F)", 3));
  CHECK(time_of(unfused, "head(F)", 3) > time_of(fused, "head(F)", 3));
}

TEST_CASE("A device holds more than its tensors, and that decides what fits") {
  CHECK(device_memory(0) == 3'000'000'000);
  CHECK(device_memory(20'000'000'000) == 24'000'000'000);
  CHECK(tensor_memory(24'000'000'000) == 20'000'000'000);
  CHECK(tensor_memory(1'000'000'000) < 0);
  const std::string job = "simulate 1f1b -m 8 --format json -q" + kLlama;
  const json run_ = json::parse(output(job));
  const double held = run_["device_memory_bytes"];
  CHECK(held == doctest::Approx(1.05 * run_["peak_memory_bytes"].get<double>() + 3e9));
  const auto fits = [&](double limit) {
    return json::parse(output(job + "--memory-limit " + std::to_string(std::llround(limit)) +
                              "B"))["fits"] == true;
  };
  CHECK(fits(held));
  CHECK_FALSE(fits(held - 1));
  CHECK(run_["mfu_full_attention"] > run_["mfu"]);
}

TEST_CASE("Attention over a context group sends keys around, gathers them, or changes heads") {
  // 8 layers, 2 GPUs of 4,096 of 8,192 tokens; keys and values 2 × 1,024 wide, queries 4,096.
  const std::string job = kLlama + "--cp 2 --sequence 8192 ";
  const auto sent = [&](const std::string& how) {
    return phase(costs(job + how), "cp_ring(F)")["sent_bytes"].get<double>();
  };
  CHECK(sent("--cp-comm allgather") == 8 * 2 * 4096.0 * 2048);
  CHECK(sent("--cp-comm alltoall") == 8 * 2 * 4096.0 * (4096 + 2048 + 4096) / 2);
  CHECK(time_of(costs(job), "cp_ring(F)") == 0);  // hidden
  CHECK(time_of(costs(job + "--cp-comm allgather"), "cp_ring(F)") > 0);
  CHECK(has(run("costs --cp-comm alltoall --cp 64 --sequence 8192" + kLlama).err,
            "cp × tp = 64 does not divide the 32 heads"));
}

TEST_CASE("Parameters are gathered beside a forward, but for the first layer's") {
  const std::string job = "simulate 1f1b -m 8 --format json -q --dp 64" + kLlama;
  const auto time = [&](const std::string& options) {
    return json::parse(output(job + options))["iteration_time_ns"].get<double>();
  };
  CHECK(time("--gather overlapped") < time(""));
  CHECK(time("--gather overlapped --zero 0") == time("--zero 0"));
}

TEST_CASE("A framework's defaults hold where nothing else is asked") {
  const std::string job = "simulate 1f1b -m 8 --format json -q --tp 2" + kLlama;
  const json like = json::parse(output(job + "--like megatron"))["inputs"];
  CHECK(like["zero"] == 0);
  CHECK(like["comm"] == "batched");
  CHECK(like["sequence_parallel"] == false);
  CHECK(like["loss"] == "unfused");
  const json asked = json::parse(
      output(job + "--like megatron --zero 1 --comm ideal --sequence-parallel on"))["inputs"];
  CHECK(asked["zero"] == 1);
  CHECK(asked["comm"] == "ideal");
  CHECK(asked["sequence_parallel"] == true);
  CHECK(json::parse(output(job + "--like torchtitan"))["inputs"]["comm"] == "torch");
  const json compared =
      json::parse(output("compare -m 8 --format json -q --like deepspeed" + kLlama));
  REQUIRE(compared["results"].size() == 1);
  CHECK(compared["results"][0]["schedule"] == "1f1b");
}

TEST_CASE("Computation is scaled until one measured iteration comes out") {
  const std::string job = " -m 8 --format json -q --dp 8" + kLlama;
  const json free = json::parse(output("simulate 1f1b" + job));
  for (const double factor : {0.7, 1.0, 1.9}) {
    CAPTURE(factor);
    const auto wanted = std::llround(factor * free["iteration_time_ns"].get<double>());
    const std::string anchor = "--anchor " + std::to_string(wanted) + "ns";
    const json run_ = json::parse(output("simulate 1f1b" + job + anchor));
    CHECK(run_["iteration_time_ns"].get<double>() ==
          doctest::Approx(static_cast<double>(wanted)).epsilon(2e-6));
    const json both =
        json::parse(output("compare --schedules 1f1b,zb-h1" + job + anchor))["results"];
    for (const json& each : both)
      if (each["schedule"] == "1f1b")
        CHECK(each["iteration_time_ns"] == run_["iteration_time_ns"]);
    const double scale = run_["inputs"]["compute_scale"];
    CHECK(scale == doctest::Approx(factor).epsilon(0.1));
    const json again =
        json::parse(output("simulate 1f1b" + job + "--compute-scale " + std::to_string(scale)));
    CHECK(again["iteration_time_ns"].get<double>() ==
          doctest::Approx(static_cast<double>(wanted)).epsilon(1e-5));
  }
  for (const char* time : {"1h", "1us", "100s", "0"}) {
    CAPTURE(time);
    CHECK(run("simulate 1f1b" + job + "--anchor " + time).exit_code == kUsage);
  }
  CHECK(has(run("simulate 1f1b" + job + "--anchor 100s").err, "cannot make up for that"));
  CHECK(run("compare --vary p2p=1us:2us --anchor 1s" + job).exit_code == kUsage);
}

TEST_CASE("Unknown recipes, modules, dispatchers and frameworks are refused with the nearest") {
  const struct {
    const char* options;
    const char* told;
  } cases[] = {{"--precision fp8 --fp8-recipe mx", "--fp8-recipe: expected block|tensor|mxfp8"},
               {"--recompute mlp,mo", "--recompute: expected core_attn|"},
               {"--recompute mlp,", "--recompute: expected core_attn|"},
               {"--dispatch deepp", "did you mean 'deepep'?"},
               {"--cuda-graphs all", "--cuda-graphs: expected none|moe|attention|full"},
               {"--expert-imbalance 0.5", "--expert-imbalance: expected a number from 1"},
               {"--expert-imbalance 1.5", "an imbalance needs ep > 1"},
               {"--expert-imbalance nan", "--expert-imbalance: expected a number from 1"},
               {"--like megatorn", "did you mean 'megatron'?"},
               {"--loss fast", "--loss: expected fused|unfused|gathered"}};
  for (const auto& each : cases) {
    CAPTURE(each.options);
    const ProcessResult result = run(std::string("simulate 1f1b -m 8") + kLlama + each.options);
    CHECK(result.exit_code == kUsage);
    CHECK_MESSAGE(has(result.err, each.told), result.err);
  }
}

}  // namespace bubblescope

// Models, hardware and parallelism: what data/ says of them, config.json, and bad input.
#include <cmath>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/transformer/hardware.h"
#include "sim/transformer/model_file.h"
#include "sim/transformer/parallel.h"
#include "sim/transformer/parameters.h"
#include "tests/support/json_schema.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

Model model(const std::string& name) {
  return read_model(source_file("data/models/" + name + ".json").string());
}

json model_json(const std::string& name) {
  return json::parse(contents(source_file("data/models/" + name + ".json")));
}

json hardware_json(const std::string& name) {
  return json::parse(contents(source_file("data/hardware/" + name + ".json")));
}

std::string complaint(const json& text) {
  return error_of([&] { parse_model(text.dump(), "mine.json"); });
}

std::string hardware_complaint(const json& text) {
  return error_of([&] { parse_hardware(text.dump(), "gpu.json"); });
}

double billions(std::int64_t parameters) {
  return static_cast<double>(parameters) / 1e9;
}

}  // namespace

TEST_CASE("Parameters of the models are those that are published") {
  struct Case {
    const char* name;
    double total, activated, within;  // in billions
  };
  // Activated: DeepSeek-V3 and Qwen3 reports; Mistral's announcement of Mixtral 8x22B.
  const Case cases[] = {{"deepseek-v3", 671, 37, 0.5},
                        {"llama-3.1-405b", 405, 405, 1.0},
                        {"gpt3-175b", 175, 175, 0.5},
                        {"mixtral-8x22b", 141, 39, 0.5},
                        {"qwen3-235b-a22b", 235, 22, 0.55}};
  for (const Case& each : cases) {
    CAPTURE(each.name);
    const Model read = model(each.name);
    CHECK(read.name == each.name);
    CHECK(billions(total_parameters(read)) ==
          doctest::Approx(each.total).epsilon(each.within / each.total));
    // Llama's and GPT-3's are all; of Llama the embedding is left out.
    const double left_out = std::string(each.name) == "llama-3.1-405b" ? 2.1 : 0;
    CHECK(std::abs(billions(activated_parameters(read)) + left_out - each.activated) <=
          each.within + 0.5);
  }
  // 11.5 billion of its own, beside the embedding and head that it shares (deepseek-ai/DeepSeek-V3,
  // README_WEIGHTS.md).
  CHECK(billions(prediction_module_parameters(model("deepseek-v3"))) ==
        doctest::Approx(11.6).epsilon(0.02));
}

TEST_CASE("Every model and hardware of data names itself and its source, as its schema says") {
  const auto check_folder = [](const std::string& folder, const std::string& schema_name,
                               const auto& read, std::size_t least) {
    const json schema =
        json::parse(contents(source_file("data/schema/" + schema_name + ".schema.json")));
    std::size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(source_file("data/" + folder))) {
      CAPTURE(file.path());
      const auto value = read(file.path().string());
      CHECK(value.name == file.path().stem().string());
      CHECK(value.description.size() > 40);
      const json text = json::parse(contents(file.path()));
      CHECK(schema_faults(schema, text) == std::vector<std::string>());
      ++count;
      for (const auto& [key, ignored] : text.items()) {
        json wrong = text;
        wrong[key] = json::array();  // which no key may be
        if (!key.starts_with('_'))
          CHECK_FALSE(schema_faults(schema, wrong).empty());
      }
    }
    CHECK(count >= least);
  };
  const auto read = [](const std::string& path) { return read_model(path); };
  check_folder("models", "model", read, 5);
  check_folder("hardware", "hardware", read_hardware, 5);
}

TEST_CASE("The readers know every key of the schemas, and the schemas those of the readers") {
  const auto check_keys = [](json start, const std::string& schema_name, const auto& complain) {
    const json schema =
        json::parse(contents(source_file("data/schema/" + schema_name + ".schema.json")));
    for (const auto& [key, rule] : schema["properties"].items()) {
      CAPTURE(key);
      const std::string description = rule["description"];
      CHECK(description.size() > 10);
      json changed = start;
      changed[key] = json::array();
      CHECK(complain(changed).find("unknown key") == std::string::npos);
      CHECK(complain(changed) != "");
    }
    start["no_such_key"] = 1;
    CHECK(complain(start).find("unknown key") != std::string::npos);
    CHECK_FALSE(schema_faults(schema, start).empty());
  };
  json with_experts = model_json("deepseek-v3");
  check_keys(with_experts, "model", complaint);
  check_keys(hardware_json("h800"), "hardware", hardware_complaint);
}

TEST_CASE("A small model's parameters by hand") {
  const Attention attention = {.heads = 2, .key_value_heads = 1, .key_dim = 2, .value_dim = 2};
  Model small = uniform_model({.mixers = {attention}, .mlp = Mlp{.width = 8}}, 2);
  small.hidden = 4;
  small.vocabulary = 10;
  constexpr int kAttention = 4 * (4 + 2 + 2) + 4 * 4;
  constexpr int kMlp = 3 * 4 * 8;
  CHECK(total_parameters(small) == 2 * (kAttention + kMlp + 8) + 40 + 40 + 4);
  CHECK(activated_parameters(small) == 2 * (kAttention + kMlp + 8) + 40 + 4);
  const Experts experts = {.count = 4, .per_token = 1, .each = {.width = 3}, .shared_width = 5};
  small.kinds.push_back({.mixers = {attention}, .experts = experts});
  small.layers = {0, 1};
  constexpr int kShared = 16 + 60;  // with the router
  CHECK(total_parameters(small) == 152 + (48 + 8 + 4 * 36 + kShared) + 84);
  CHECK(activated_parameters(small) == 152 + (48 + 8 + 36 + kShared) + 44);
  small.kinds[0].mlp->gated = false;
  CHECK(total_parameters(small) == 152 - 32 + (48 + 8 + 4 * 36 + kShared) + 84);
  small.predictions = {1};
  CHECK(prediction_module_parameters(small) == 2 * 4 * 4 + 3 * 4 + (48 + 8 + 4 * 36 + kShared));
}

TEST_CASE("What is wrong in a model's file is told with its place") {
  struct Case {
    const char* key;
    json value;  // null takes the key away
    const char* told;
  };
  const Case cases[] = {
      {"hidden_size", nullptr, "mine.json: /hidden_size: is missing"},
      {"hidden_size", 0, "mine.json: /hidden_size: expected 1 to 10000000, got 0"},
      {"hidden_size", -1, "mine.json: /hidden_size: expected a number ≥ 0, got -1"},
      {"hidden_sice", 1, "mine.json: /hidden_sice: unknown key; did you mean 'hidden_size'?"},
      {"n_group", 2048, "mine.json: /n_group: expected 1 to 1024, got 2048"},
      {"num_experts_per_tok", 300,
       "mine.json: /num_experts_per_tok: is 300, and there are 256 experts"},
      {"num_experts", 8, "mine.json: /num_experts: is 8, and n_routed_experts is 256"},
      {"first_k_dense_replace", 62, "mine.json: /first_k_dense_replace: is 62 of 61 layers"},
      {"n_group", 7, "mine.json: /n_group: 7 groups do not divide the 256 experts"},
      {"topk_group", 9, "mine.json: /topk_group: is 9 of 8 groups"},
      {"num_key_value_heads", 3,
       "mine.json: /num_key_value_heads: 3 does not divide the 128 heads"},
      {"kv_lora_rank", nullptr,
       "mine.json: /q_lora_rank: is of multi-head latent attention and needs kv_lora_rank beside "
       "it"},
      {"n_routed_experts", nullptr,
       "mine.json: /num_experts_per_tok: is about experts, whose number n_routed_experts does not "
       "give"},
      {"hidden_act", "tanh",
       "mine.json: /hidden_act: expected silu, swiglu, geglu, gelu or relu, got \"tanh\""},
      {"n_routed_experts", 10'000'000,
       "mine.json: /hidden_size: the model has more than 1e16 parameters"},
      {"format", "bubblescope-model/2",
       "mine.json: /format: expected \"bubblescope-model/1\", got \"bubblescope-model/2\""}};
  for (const Case& each : cases) {
    json changed = model_json("deepseek-v3");
    if (each.value.is_null())
      changed.erase(each.key);
    else
      changed[each.key] = each.value;
    CHECK(complaint(changed) == each.told);
  }
  CHECK(complaint(json{{"a", 1}}) ==
        "mine.json: /model_type: is missing: expected format \"bubblescope-model/1\", or a "
        "config.json");
  CHECK(complaint(json::array()) == "mine.json: /: expected an object, got an empty array");
  CHECK(complaint(json{{"n_embd", 768}}).starts_with("mine.json: /n_embd: is of GPT-2's family"));
}

TEST_CASE("Hardware is read, and what is wrong in it told with its place") {
  const Hardware h800 = read_hardware(source_file("data/hardware/h800.json").string());
  CHECK(h800.name == "h800");
  CHECK(h800.sms == 132);
  CHECK(h800.fp8_flops == doctest::Approx(1978.9e12));
  CHECK(h800.memory == 85'520'000'000);
  CHECK(h800.nvlink_bandwidth == doctest::Approx(200e9));
  CHECK(h800.nic_latency == Time(10'000));
  CHECK(read_hardware(source_file("data/hardware/a100-80g.json").string()).fp8_flops == 0);
  struct Case {
    const char* place;
    json value;
    const char* told;
  };
  const Case cases[] = {
      {"/nic_GBps", 0, "gpu.json: /nic_GBps: expected a number above 0, up to 1e+09, got 0"},
      {"/nvlink_GBps", -5, "gpu.json: /nvlink_GBps: expected a number ≥ 0, got -5"},
      {"/bf16_TFLOPs", "1", "gpu.json: /bf16_TFLOPs: expected a number ≥ 0, got \"1\""},
      {"/efficiency/memory", 1.2,
       "gpu.json: /efficiency/memory: expected a part of the peak, above 0 and up to 1, got 1.2"},
      {"/efficiency/memori", 0.5,
       "gpu.json: /efficiency/memori: unknown key; did you mean 'memory'?"},
      {"/communication_sms", 132,
       "gpu.json: /communication_sms: is 132 of 132 SMs, which leaves none to compute"},
      {"/nic_latency_us", 1e30,
       "gpu.json: /nic_latency_us: 1e+30 µs is not a duration from 0 to 1e+12 µs"}};
  for (const Case& each : cases) {
    json changed = hardware_json("h800");
    changed[json::json_pointer(each.place)] = each.value;
    CHECK(hardware_complaint(changed) == each.told);
  }
  json lacking = hardware_json("h800");
  lacking["efficiency"].erase("gemm_fp8");
  CHECK(hardware_complaint(lacking) == "gpu.json: /efficiency/gemm_fp8: is missing");
  json without_peak = hardware_json("h800");
  without_peak.erase("fp8_TFLOPs");
  CHECK(
      hardware_complaint(without_peak) ==
      "gpu.json: /efficiency/gemm_fp8: needs fp8_TFLOPs beside \"efficiency\", the peak that it is "
      "a part of");
  json text = hardware_json("h800");
  text["nic_latency_us"] = "10";
  CHECK(hardware_complaint(text) == "gpu.json: /nic_latency_us: expected a number ≥ 0, got \"10\"");
}

TEST_CASE("Degrees of parallelism are read") {
  const Parallel all = parse_parallel("tp=8,ep=64,dp=128,cp=2");
  CHECK(all.tensor == 8);
  CHECK(all.expert == 64);
  CHECK(all.data == 128);
  CHECK(all.context == 2);
  CHECK(all.gpus_per_stage() == 2048);
  CHECK(all.expert_replicas() == 32);
  CHECK(parse_parallel("").gpus_per_stage() == 1);
  CHECK(parse_parallel("ep=64").data == 64);  // as many GPUs as experts need
  CHECK(parse_parallel("tp=8,ep=64").data == 8);
  CHECK(parse_parallel("tp=4,cp=2,ep=4").data == 1);
  CHECK(parse_parallel("tp=2").expert_tensor() == 2);
  CHECK(parse_parallel("tp=2,ep=2").expert_tensor() == 1);
  const std::pair<const char*, const char*> wrong[] = {
      {"tp=8,pp=4", "at 'pp=4' (character 6): expected tp, ep, dp or cp; did you mean 'tp'?"},
      {"tp", "at 'tp' (character 1): expected a degree such as tp=8"},
      {"tp=0", "at 'tp=0' (character 1): expected a number of GPUs from 1 to 1000000"},
      {"tp=x", "at 'tp=x' (character 1): expected a number of GPUs from 1 to 1000000"},
      {"tp=2,", "at '' (character 6): expected a degree such as tp=8"},
      {"ep=2,ep=2", "at 'ep=2' (character 6): ep is given twice"}};
  for (const auto& [text, told] : wrong)
    CHECK(error_of([&, given = text] { parse_parallel(given); }) == told);
}

TEST_CASE("A model that cannot be divided so is refused") {
  const auto told = [](const char* name, const char* degrees) {
    return error_of([&] { check(parse_parallel(degrees), model(name)); });
  };
  CHECK(told("deepseek-v3", "ep=64,dp=128") == "");
  CHECK(told("llama-3.1-405b", "tp=8,cp=2,dp=4") == "");
  CHECK(told("llama-3.1-405b", "tp=16") == "");  // two GPUs share a key-value head
  CHECK(told("deepseek-v3", "tp=3") ==
        "tp=3 does not divide the 128 attention heads of deepseek-v3");
  CHECK(told("qwen3-235b-a22b", "tp=8") == "");
  CHECK(told("llama-3.1-405b", "ep=8") == "ep=8, but llama-3.1-405b has no experts");
  CHECK(told("mixtral-8x22b", "ep=16") == "ep=16 is more than the 8 experts of mixtral-8x22b");
  CHECK(told("mixtral-8x22b", "ep=3") == "ep=3 does not divide the 8 experts of mixtral-8x22b");
  CHECK(told("deepseek-v3", "ep=64,dp=32") ==
        "ep=64 does not divide the 32 GPUs of a stage (tp × cp × dp = 1 × 1 × 32)");
}

}  // namespace bubblescope

// A config.json of Hugging Face: which keys are read, and that none of a layer is passed over.
#include "tests/support/config_json.h"

#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/transformer/model_file.h"
#include "sim/transformer/parameters.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

json dense() {
  return dense_config();
}

/// Totals in billions of files that the table lacks: quantized or multimodal variants, and three
/// more.
const std::map<std::string, double> kMoreTotals = {
    {"MiniMaxAI--MiniMax-M2.7", 228.689},
    {"Qwen--Qwen3-235B-A22B-FP8", 235.094},
    {"Qwen--Qwen3-30B-A3B-FP8", 30.532},
    {"Qwen--Qwen3-32B-FP8", 32.762},
    {"Qwen--Qwen3-32B-FP8-Static-PerTensor", 32.762},
    {"Qwen--Qwen3-VL-235B-A22B-Instruct", 235.094},
    {"Qwen--Qwen3-VL-2B-Instruct", 1.721},
    {"Qwen--Qwen3-VL-30B-A3B-Instruct", 30.532},
    {"Qwen--Qwen3-VL-32B-Instruct", 32.762},
    {"Qwen--Qwen3-VL-32B-Thinking", 32.762},
    {"Qwen--Qwen3-VL-4B-Instruct", 4.022},
    {"XiaomiMiMo--MiMo-7B-Base", 7.62},
    {"gemma-3-27b-text", 27.009},
    {"glm-4.5", 353.2},
    {"meta-llama--Llama-4-Scout-17B-16E-Instruct", 107.77},
    {"nvidia--DeepSeek-V3.1-NVFP4", 671.0},
    {"nvidia--Kimi-K2.5-NVFP4", 1026.4},
    {"nvidia--Kimi-K2.6-NVFP4", 1026.4},
    {"nvidia--Kimi-K2.7-Code-NVFP4", 1026.4},
    {"nvidia--Llama-3.1-70B-Instruct-FP8", 70.554},
    {"nvidia--MiniMax-M2.5-NVFP4", 228.689},
    {"nvidia--MiniMax-M2.7-NVFP4", 228.689},
    {"nvidia--Qwen3-235B-A22B-NVFP4", 235.094}};

}  // namespace

TEST_CASE("A key of a config.json that may say of layers what is not read is refused by name") {
  struct Case {
    const char* key;
    json value;
  };
  const json four = {1, 0, 1, 1};
  const Case cases[] = {{"moe_num_primary_experts", 8},
                        {"moe_topk", 2},
                        {"num_experts_per_tok", 2},
                        {"hybrid_override_pattern", "M*-M"},
                        {"layers_block_type", {"mamba", "attention", "mlp", "mlp"}},
                        {"attn_layer_period", 8},
                        {"full_attention_interval", 4},
                        {"mamba_d_state", 16},
                        {"ssm_state_size", 16},
                        {"linear_num_value_heads", 16},
                        {"linear_attn_config", {{"full_attn_layers", {4}}}},
                        {"conv_kernel", 4},
                        {"index_topk", 2048},
                        {"sparse_attention_config", {{"topk", 4}}},
                        {"window_size", 512},
                        {"global_head_dim", 512},
                        {"expert_layer_period", 2},
                        {"share_expert_dim", 1280},
                        {"intermediate_size_mlp", 256},
                        {"num_dense_layers", 1},
                        {"attn_output_gate", true},
                        {"o_lora_rank", 64},
                        {"kv_channels", 64},
                        {"num_kv_shared_layers", 2},
                        {"Num_Hidden_Layers", 8},
                        {"attention_types", "LLLG"},
                        {"parallel_attn", true},
                        {"hc_mult", 4},
                        {"type_vocab_size", 2},
                        {"cross_attention_freq", 2},
                        {"use_parallel_residual", true},
                        {"decoder_sparse_step", 2},
                        {"rope_head_count", 2},
                        {"hiden_size", 32},
                        {"a_list_that_nobody_knows", four},
                        {"an_object_that_nobody_knows", {{"a", 1}}}};
  for (const Case& each : cases) {
    const std::string key = each.key;
    CAPTURE(key);
    const json config = with(dense(), {{key, each.value}});
    const std::string told = complaint(config);
    CHECK_MESSAGE(told.starts_with("config.json: /" + key + ": is not understood, and "), told);
    CHECK(told.ends_with("; --ignore-key " + key + " leaves the key out"));
    CHECK(complaint(config, {key}) == "");
    CHECK(complaint(with(dense(), {{key, nullptr}})) == "");
  }
  CHECK(complaint(with(dense(), {{"tie_word_embedding", false}})) ==
        "config.json: /tie_word_embedding: is not understood, and resembles tie_word_embeddings; "
        "--ignore-key tie_word_embedding leaves the key out");
}

TEST_CASE("Keys of a config.json that say nothing of a layer's size are passed over") {
  const json neutral = {{"_name_or_path", "moe"},
                        {"architectures", {"LlamaForCausalLM"}},
                        {"auto_map", {{"AutoConfig", "configuration.Config"}}},
                        {"attention_dropout", 0.1},
                        {"eos_token_id", {1, 2, 3, 4}},
                        {"fuse_attention_ffn", true},
                        {"initializer_range", 0.02},
                        {"layer_norm_eps", 1e-5},
                        {"max_position_embeddings", 1'000'000'000'000},
                        {"max_window_layers", 4},
                        {"mlp_type", "default"},
                        {"quantization_config", {{"quant_method", "fp8"}}},
                        {"rope_scaling", {{"factor", 8}}},
                        {"router_aux_loss_coef", 0.001},
                        {"transformers.js_config", {{"dtype", "q4"}}},
                        {"swiglu_limit", 7.0},
                        {"time_step_limit", {0, 1, 2, 3}},
                        {"use_sliding_window", false}};
  const Model read = parse_model(with(dense(), neutral).dump(), "config.json");
  CHECK(total_parameters(read) == 276'032);
  CHECK(read.ignored_keys.empty());
  const json unknown = {{"favourite_colour", "blue"}, {"lucky_number", 7}};
  const Model other = parse_model(with(dense(), unknown).dump(), "config.json");
  CHECK(other.ignored_keys == std::vector<std::string>{"favourite_colour", "lucky_number"});
  CHECK(other.note ==
        "config.json: not understood, and by their names not about layers: "
        "favourite_colour, lucky_number");
  const Model told = parse_model(with(dense(), {{"conv_kernel", 4}}).dump(), "config.json",
                                 std::vector<std::string>{"conv_kernel"});
  CHECK(told.ignored_keys == std::vector<std::string>{"conv_kernel"});
}

TEST_CASE("An encoder, and a type of model that is not known, are refused") {
  const std::string like =
      " (layers that are alike can be told as those of data/models/llama-3.1-405b.json)";
  CHECK(complaint(with(dense(), {{"model_type", "qwen9"}})) ==
        "config.json: /model_type: \"qwen9\" is not a type of model that is known; did you mean "
        "'qwen2'?" +
            like);
  CHECK(complaint(with(dense(), {{"model_type", "xlm-roberta"}})) ==
        "config.json: /model_type: \"xlm-roberta\" is not a type of model that is known" + like);
  json untyped = dense();
  untyped.erase("model_type");
  CHECK(complaint(untyped) ==
        "config.json: /model_type: is missing: it says which layers the keys mean");
  CHECK(complaint(with(dense(), {{"is_encoder_decoder", true}})) ==
        "config.json: /is_encoder_decoder: expected false: encoders are not read");
  json untold = dense();
  untold.erase("tie_word_embeddings");
  CHECK(parameters(untold) == 276'032);
  CHECK(parameters(with(untold, {{"model_type", "gemma"}, {"head_dim", 16}})) == 276'032 - 64'000);
  CHECK(complaint(with(untold, {{"model_type", "starcoder2"}})) ==
        "config.json: /tie_word_embeddings: is missing, and models of this model_type differ in "
        "it");
}

TEST_CASE("A key and its other name have to say the same") {
  // google/gemma-2-9b, 9.24e9 parameters.
  const json gemma = json::parse(R"({"model_type": "gemma2", "attn_logit_softcapping": 50.0,
      "cache_implementation": "hybrid", "final_logit_softcapping": 30.0, "head_dim": 256,
      "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
      "hidden_size": 3584, "intermediate_size": 14336, "num_attention_heads": 16,
      "num_hidden_layers": 42, "num_key_value_heads": 8, "query_pre_attn_scalar": 256,
      "sliding_window": 4096, "sliding_window_size": 4096, "vocab_size": 256000})");
  const Model read = parse_model(gemma.dump(), "config.json");
  CHECK(static_cast<double>(total_parameters(read)) / 1e9 == doctest::Approx(9.2417).epsilon(1e-4));
  CHECK(std::get<Attention>(read.layer(0).mixers[0]).window == 4096);
  CHECK(complaint(with(gemma, {{"sliding_window_size", 512}})) ==
        "config.json: /sliding_window_size: is 512, and sliding_window is 4096");
  CHECK(parameters(with(dense(), {{"num_layers", 4}, {"n_layers", 4}, {"n_heads", 4}})) == 276'032);
  CHECK(complaint(with(dense(), {{"num_layers", 5}})) ==
        "config.json: /num_layers: is 5, and num_hidden_layers is 4");
  json other = with(dense(), {{"n_layers", 4}});
  other.erase("num_hidden_layers");
  CHECK(parameters(other) == 276'032);
}

TEST_CASE("An MLP that is said to have no gate is refused, and other keys that are false are not") {
  for (const std::string key : {"use_glu", "gated_mlp", "use_gated_activation"})
    CHECK(complaint(with(dense(), {{key, false}}))
              .starts_with("config.json: /" + key + ": is not understood, "));
  for (const std::string key : {"gated_attention", "moe_gated", "use_gated_delta_net", "use_moe"})
    CHECK(complaint(with(dense(), {{key, false}})) == "");
}

TEST_CASE("Python's numbers that JSON has not matter where they are read alone") {
  const auto config = [](const std::string& more) {
    std::string text = dense().dump();
    return text.insert(text.size() - 1, "," + more);
  };
  const Model read = parse_model(
      config(
          R"("a": [0.0, Infinity], "b": -Infinity, "c": NaN, "d\"": "NaN, \\", "e": "Infinity")"),
      "config.json");
  CHECK(total_parameters(read) == 276'032);
  const auto told = [&](const std::string& more) {
    return error_of([&] { parse_model(config(more), "config.json"); });
  };
  CHECK(told(R"("head_dim": Infinity)") ==
        "config.json: /head_dim: expected a number ≥ 0, got \"Infinity\"");
  CHECK(told(R"("kv_lora_rank": NaN)") ==
        "config.json: /kv_lora_rank: expected a number ≥ 0, got \"NaN\"");
  CHECK(told(R"("head_dim": Infinite)").starts_with("config.json: parse error at line 1"));
}

TEST_CASE("Of a model of several media the text model is read, and the file says so") {
  json text = dense();
  text.erase("tie_word_embeddings");
  for (const char* part : {"text_config", "llm_config", "language_config"}) {
    const json config = {{"model_type", "some_vl"},
                         {part, text},
                         {"tie_word_embeddings", true},
                         {"vision_config", {{"hidden_size", 1024}, {"num_experts", 8}}}};
    const Model read = parse_model(config.dump(), "config.json");
    CHECK(read.name == "llama");
    CHECK(total_parameters(read) == 276'032 - 64'000);
    CHECK(read.note == std::string("config.json: ") + part +
                           " alone is read: what the model has beside text (vision, audio) is left "
                           "out");
  }
  CHECK(parse_model(dense().dump(), "config.json").note == "");
  const json beside = with(dense(), {{"vision_config", {{"depth", 32}}}});
  CHECK(parse_model(beside.dump(), "config.json").note ==
        "config.json: vision_config is left out: the text model alone is read");
  const auto told = [&](const json& part, const json& rest, const std::string& ignored = {}) {
    return complaint(with(rest, {{"text_config", part}}),
                     ignored.empty() ? std::vector<std::string>{} : std::vector{ignored});
  };
  const json rest = json::object();
  CHECK(told({{"model_type", "llama"}}, rest)
            .starts_with("config.json: /text_config/hidden_size: is missing"));
  CHECK(told(with(text, {{"mamba_d_conv", 4}}), rest)
            .starts_with("config.json: /text_config/mamba_d_conv: is not understood"));
  CHECK(told(with(text, {{"mamba_d_conv", 4}}), rest, "mamba_d_conv") == "");
  CHECK(told(3, rest) == "config.json: /text_config: expected an object, got 3");
  CHECK(told(dense(), {{"tie_word_embeddings", true}}) ==
        "config.json: /tie_word_embeddings: is not what text_config says");
  CHECK(told(text, {{"num_key_value_heads", 4}}) ==
        "config.json: /num_key_value_heads: stands beside text_config, where it is expected "
        "within");
  CHECK(told(text, {{"is_encoder_decoder", true}}) ==
        "config.json: /is_encoder_decoder: expected false: encoders are not read");
}

TEST_CASE("A key can be ignored that is there, and in a config.json alone") {
  CHECK(complaint(dense(), {"mamba_d_stat"}) ==
        "config.json: /mamba_d_stat: is not there to be ignored");
  CHECK(complaint(with(dense(), {{"mamba_d_state", 1}}), {"mamba_d_stat"}) ==
        "config.json: /mamba_d_stat: is not there to be ignored; did you mean 'mamba_d_state'?");
  CHECK(complaint(dense(), {"hidden_size"}).starts_with("config.json: /hidden_size: is missing"));
  const json own = json::parse(contents(source_file("data/models/gpt3-175b.json")));
  CHECK(complaint(own, {"hidden_act"}) ==
        "config.json: /hidden_act: every key is read here: a config.json alone has some to ignore");
}

TEST_CASE("Real files give their published number of parameters, or are refused by a key") {
  const auto folder = reference("cases/configs");
  if (folder.empty())
    return;
  std::istringstream table(contents(folder / "parameters.tsv"));
  std::map<std::string, double> totals = kMoreTotals;
  std::vector<std::string> names;
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    const std::size_t end = line.find('\t');
    names.push_back(line.substr(0, end - std::string(".json").size()));
    const std::string total = line.substr(end + 1, line.find('\t', end + 1) - end - 1);
    if (!total.empty())
      totals[names.back()] = std::stod(total);
  }
  CHECK(names.size() == 102);
  std::map<std::string, int> refused;
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string path = (folder / (name + ".json")).string();
    std::int64_t parameters = 0;
    const std::string told = error_of([&] { parameters = total_parameters(read_model(path)); });
    if (!told.empty()) {
      const std::size_t begin = path.size() + 3;
      REQUIRE_MESSAGE(told.starts_with(path + ": /"), told);
      ++refused[told.substr(begin, told.find(':', begin) - begin)];
    } else if (totals.contains(name)) {
      CHECK(static_cast<double>(parameters) / 1e9 ==
            doctest::Approx(totals.at(name)).epsilon(0.005));
    }
  }
  const std::map<std::string, int> expected = {
      {"model_type", 9},              // DeepSeek-V4, MiniMax-M3, Nemotron-NAS, Step-3.7
      {"text_config/model_type", 2},  // Gemma 4
      {"tie_word_embeddings", 1},     // StarCoder2
      {"text_config/linear_attn_config/gate_lower_bound", 1}};  // Kimi-K3
  CHECK(refused == expected);
}

}  // namespace bubblescope

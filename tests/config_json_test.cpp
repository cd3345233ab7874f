// A config.json of Hugging Face: which keys are read, and that none of a layer is passed over.
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/transformer/model_file.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

/// A model of 276 032 parameters: 4 layers of 12 288 + 24 576 + 128, twice 64 000, and 64.
json dense() {
  return {{"model_type", "llama"},     {"hidden_size", 64},        {"num_hidden_layers", 4},
          {"num_attention_heads", 4},  {"num_key_value_heads", 2}, {"intermediate_size", 128},
          {"vocab_size", 1000},        {"hidden_act", "silu"},     {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"}, {"rope_theta", 10000}};
}

json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

/// A model of 351 296 parameters: in three layers 49 152 of experts and 512 of a router for the
/// MLP's.
json mixture() {
  return with(dense(), {{"num_experts", 8},
                        {"num_experts_per_tok", 2},
                        {"moe_intermediate_size", 32},
                        {"first_k_dense_replace", 1}});
}

std::int64_t parameters(const json& config) {
  return total_parameters(parse_model(config.dump(), "config.json"));
}

std::string complaint(const json& config, const std::vector<std::string>& ignored = {}) {
  return error_of([&] { parse_model(config.dump(), "config.json", ignored); });
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

TEST_CASE("A config.json says by other names what experts there are") {
  CHECK(parameters(dense()) == 276'032);
  CHECK(parameters(mixture()) == 351'296);
  const json others = {{"moe_num_experts", 8},        {"moe_k", 2},
                       {"moe_intermediate_size", 32}, {"moe_layer_start_index", 1},
                       {"moe_layer_end_index", 3},    {"moe_layer_interval", 1},
                       {"moe_num_shared_experts", 0}};
  CHECK(parameters(with(dense(), others)) == 351'296);
  CHECK(parameters(with(mixture(), {{"experts_per_token", 2}, {"num_local_experts", 8}})) ==
        351'296);
  const std::int64_t one_shared = 351'296 + 3 * 3 * 64 * 32;
  CHECK(parameters(with(mixture(), {{"num_shared_experts", 1}})) == one_shared);
  CHECK(parameters(with(mixture(), {{"num_shared_experts", 1},
                                    {"moe_shared_expert_intermediate_size", 32}})) == one_shared);
  CHECK(parameters(with(mixture(), {{"shared_intermediate_size", 32}})) == one_shared);
  CHECK(parameters(with(mixture(), {{"n_shared_experts", 2}})) == 2 * one_shared - 351'296);
  CHECK(complaint(with(mixture(), {{"experts_per_token", 3}})) ==
        "config.json: /experts_per_token: is 3, and num_experts_per_tok is 2");
  CHECK(complaint(
            with(mixture(), {{"n_shared_experts", 2}, {"shared_expert_intermediate_size", 32}})) ==
        "config.json: /n_shared_experts: there are 2 shared experts, and whether their width of 32 "
        "is that of one or of all is not known");
  CHECK(complaint(with(dense(), with(others, {{"moe_layer_end_index", 2}}))) ==
        "config.json: /moe_layer_end_index: expected 3, the last of 4 layers");
}

TEST_CASE("Llama 4 has a shared expert without a key, and attention to chunks") {
  json scout = with(dense(), {{"model_type", "llama4_text"},
                              {"num_local_experts", 8},
                              {"num_experts_per_tok", 1},
                              {"intermediate_size_mlp", 256},
                              {"interleave_moe_layer_step", 1},
                              {"attention_chunk_size", 8192},
                              {"max_position_embeddings", 10'485'760}});
  // 12 288 + 128 of attention and norms, 9 × 24 576 of experts and 512 of the router.
  CHECK(parameters(scout) == 4 * (12'416 + 9 * 24'576 + 512) + 128'064);
  CHECK(parse_model(scout.dump(), "config.json").attention_window == 8192);
  scout["sliding_window"] = 4096;
  CHECK(parse_model(scout.dump(), "config.json").attention_window == 4096);
  scout["interleave_moe_layer_step"] = 2;
  CHECK(complaint(scout).starts_with("config.json: /interleave_moe_layer_step: expected 1"));
}

TEST_CASE("A key of a config.json that says of layers what is not read is refused by name") {
  struct Case {
    const char* key;
    json value;
    const char* about;
  };
  const json four = {1, 0, 1, 1};
  const Case cases[] = {
      {"moe_num_primary_experts", 8, "experts under this key"},
      {"moe_topk", 2, "experts under this key"},
      {"num_experts_per_tok", 2, "experts under this key"},
      {"hybrid_override_pattern", "M*-M", "layers other than softmax"},
      {"layers_block_type", {"mamba", "attention", "mlp", "mlp"}, "layers other than"},
      {"attn_layer_period", 8, "layers other than"},
      {"full_attention_interval", 4, "layers other than"},
      {"mamba_d_state", 16, "layers other than"},
      {"ssm_state_size", 16, "layers other than"},
      {"linear_num_value_heads", 16, "layers other than"},
      {"linear_attn_config", {{"full_attn_layers", {4}}}, "layers other than"},
      {"conv_kernel", 4, "layers other than"},
      {"index_topk", 2048, "sparse or local attention"},
      {"sparse_attention_config", {{"topk", 4}}, "sparse or local attention"},
      {"window_size", 512, "sparse or local attention"},
      {"global_head_dim", 512, "sparse or local attention"},
      {"expert_layer_period", 2, "experts under this key"},
      {"share_expert_dim", 1280, "experts under this key"},
      {"mtp_num_hidden_layers", 1, "multi-token prediction under this key"},
      {"intermediate_size_mlp", 256, "an MLP of this kind"},
      {"num_dense_layers", 1, "layers that differ"},
      {"attn_output_gate", true, "attention matrices of this kind"},
      {"o_lora_rank", 64, "attention matrices of this kind"},
      {"kv_channels", 64, "attention matrices of this kind"},
      {"num_kv_shared_layers", 2, "layers that differ"},
      {"Num_Hidden_Layers", 8, "layers that differ"},
      {"attention_types", "LLLG", "sparse or local attention"},
      {"parallel_attn", true, "attention and MLP beside each other"},
      {"hc_mult", 4, "layers that differ"},
      {"type_vocab_size", 2, "a second width or embedding"},
      {"is_encoder_decoder", true, "an encoder or cross-attention"},
      {"cross_attention_freq", 2, "an encoder or cross-attention"},
      {"a_list_that_nobody_knows", four, "values that differ from layer to layer"},
      {"an_object_that_nobody_knows", {{"a", 1}}, "a part of the model"}};
  for (const Case& each : cases) {
    const std::string key = each.key;
    CAPTURE(key);
    const json config = with(dense(), {{key, each.value}});
    const std::string told = complaint(config);
    CHECK_MESSAGE(told.starts_with("config.json: /" + key + ": " + each.about), told);
    CHECK(told.find(": not modelled. Bubblescope reads ") != std::string::npos);
    CHECK(told.ends_with(". --ignore-key " + key + " leaves the key out"));
    CHECK(complaint(config, {key}) == "");
    CHECK(complaint(with(dense(), {{key, nullptr}})) == "");
    CHECK(complaint(with(dense(), {{key, 0}, {"use_" + key, false}})) == "");
  }
  const json attention_types = {{"attn_type_list", {1, 1, 1, 0}}};
  CHECK(complaint(with(dense(), attention_types)) ==
        "config.json: /attn_type_list: expected 1, full attention, in all layers, got 0");
}

TEST_CASE("Keys of a config.json that say nothing of a layer's size are passed over") {
  const json neutral = {{"_name_or_path", "moe"},
                        {"architectures", {"LlamaForCausalLM"}},
                        {"auto_map", {{"AutoConfig", "configuration.Config"}}},
                        {"attention_dropout", 0.1},
                        {"checkpoint_activations", true},
                        {"embed_scale", 8.0},
                        {"fuse_attention_ffn", true},
                        {"moe_capacity", {64, 64, 64, 64}},
                        {"moe_gate", "topk"},
                        {"moe_gate_act", "softmax"},
                        {"moe_use_aux_free", true},
                        {"use_recompute_moe", true},
                        {"attn_type_list", {1, 1, 1, 1}},
                        {"eos_token_id", {1, 2, 3, 4}},
                        {"expert_dtype", "fp4"},
                        {"image_token_index", 7},
                        {"initializer_range", 0.02},
                        {"layer_norm_eps", 1e-5},
                        {"max_position_embeddings", 1'000'000'000'000},
                        {"max_window_layers", 4},
                        {"mlp_type", "default"},
                        {"moe_router_dtype", "float32"},
                        {"no_rope_layers", {1, 1, 1, 0}},
                        {"quantization_config", {{"quant_method", "fp8"}}},
                        {"rope_scaling", {{"factor", 8}}},
                        {"router_aux_loss_coef", 0.001},
                        {"transformers.js_config", {{"dtype", "q4"}}},
                        {"sliding_window", 4096},
                        {"sliding_window_pattern", 6},
                        {"swiglu_limit", 7.0},
                        {"time_step_limit", {0, 1, 2, 3}},
                        {"use_mtp", true},
                        {"use_qk_norm", true}};
  CHECK(parameters(with(dense(), neutral)) == 276'032);
}

TEST_CASE("A file of an encoder, and an activation whose gate is unknown, are refused") {
  for (const json& change :
       {json{{"model_type", "xlm-roberta"}}, json{{"architectures", {"BertForPreTraining"}}},
        json{{"architectures", {"EsmForMaskedLM"}}}}) {
    const std::string key = change.begin().key();
    CHECK(complaint(with(dense(), change)).find("is an encoder: expected a decoder") !=
          std::string::npos);
    CHECK(complaint(with(dense(), change), {key}) == "");
  }
  const json gelu = {{"hidden_act", "gelu"}, {"model_type", "grok"}};
  CHECK(complaint(with(dense(), gelu)) ==
        "config.json: /hidden_act: whether the gelu of model_type grok has a gate is not known: "
        "expected silu, swiglu or geglu; --ignore-key hidden_act reads an MLP with a gate");
  for (const char* type : {"gpt_neox", "nemotron", "phi"})
    CHECK(parameters(with(dense(), {{"hidden_act", "relu2"}, {"model_type", type}})) ==
          276'032 - 4 * 64 * 128);
  json untold = dense();
  untold.erase("tie_word_embeddings");
  CHECK(parameters(untold) == 276'032);
  CHECK(parameters(with(untold, {{"model_type", "cohere2"}})) == 276'032 - 64'000);
  const json starcoder = {{"model_type", "starcoder2"}};
  CHECK(complaint(with(untold, starcoder)) ==
        "config.json: /tie_word_embeddings: is missing, and models of this model_type differ in "
        "it");
  CHECK(parameters(with(dense(), starcoder)) == 276'032);
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
  CHECK(static_cast<double>(total_parameters(read)) / 1e9 == doctest::Approx(9.2417).epsilon(1e-3));
  CHECK(read.attention_window == 4096);
  CHECK(complaint(with(gemma, {{"sliding_window_size", 512}})) ==
        "config.json: /sliding_window_size: is 512, and sliding_window is 4096");
  CHECK(complaint(with(gemma, {{"hidden_activation", "silu"}})) ==
        "config.json: /hidden_activation: expected \"gelu_pytorch_tanh\", as hidden_act is");
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
              .starts_with("config.json: /" + key + ": an MLP of this kind: not modelled."));
  for (const std::string key : {"gated_attention", "moe_gated", "use_gated_delta_net", "use_moe"})
    CHECK(complaint(with(dense(), {{key, false}})) == "");
}

TEST_CASE("Layers with a window need its size, and prediction layers a number that there can be") {
  const json sliding = {
      {"layer_types",
       {"sliding_attention", "full_attention", "sliding_attention", "full_attention"}}};
  CHECK(complaint(with(dense(), sliding)) ==
        "config.json: /layer_types: sliding_attention needs sliding_window beside it");
  CHECK(complaint(with(dense(), with(sliding, {{"sliding_window", 512}}))) == "");
  CHECK(complaint(with(dense(), {{"layer_types", {"full_attention", "full_attention"}}})) ==
        "config.json: /layer_types: expected one for each of 4 layers, got 2");
  const json modules = {{"num_mtp_modules", 3}, {"mtp_transformer_layers", 1}};
  const auto predictions = [](const json& changes) {
    return parse_model(with(dense(), changes).dump(), "config.json").prediction_layers;
  };
  CHECK(predictions(modules) == 3);
  CHECK(predictions(with(modules, {{"use_mtp", false}})) == 0);
  CHECK(
      complaint(with(dense(), with(modules, {{"mtp_transformer_layers", 2}}))) ==
      "config.json: /mtp_transformer_layers: expected 1 in each module of multi-token prediction");
  CHECK(predictions({{"num_nextn_predict_layers", 10'000}}) == 10'000);
  CHECK(complaint(with(dense(), {{"num_nextn_predict_layers", 10'001}})) ==
        "config.json: /num_nextn_predict_layers: expected 0 to 10000, got 10001");
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
  CHECK(told(R"("sliding_window": NaN)") ==
        "config.json: /sliding_window: expected a number ≥ 0, got \"NaN\"");
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
            .starts_with("config.json: /text_config/mamba_d_conv: layers other than"));
  CHECK(told(with(text, {{"mamba_d_conv", 4}}), rest, "mamba_d_conv") == "");
  CHECK(told(3, rest) == "config.json: /text_config: expected an object, got 3");
  CHECK(told(dense(), {{"tie_word_embeddings", true}}) ==
        "config.json: /tie_word_embeddings: is not what text_config says");
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
  int read = 0;
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string path = (folder / (name + ".json")).string();
    std::int64_t parameters = 0;
    const std::string told = error_of([&] { parameters = total_parameters(read_model(path)); });
    if (!told.empty()) {
      CHECK_MESSAGE(told.starts_with(path + ": /"), told);
      continue;
    }
    ++read;
    REQUIRE(totals.contains(name));
    CHECK(static_cast<double>(parameters) / 1e9 == doctest::Approx(totals.at(name)).epsilon(0.01));
  }
  CHECK(read == 59);
}

}  // namespace bubblescope

// Which layers a config.json tells, by family: experts, windows, hybrids, against sums by hand.
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/transformer/model_file.h"
#include "tests/support/config_json.h"

namespace bubblescope {
namespace {

using nlohmann::json;

json dense() {
  return dense_config();
}

json mixture() {
  return expert_config();
}

}  // namespace

TEST_CASE("A config.json says by other names what experts there are") {
  CHECK(parameters(dense()) == 276'032);
  CHECK(parameters(mixture()) == 351'296);
  const std::int64_t one_shared = 351'296 + 3 * 3 * 64 * 32;
  CHECK(parameters(with(mixture(), {{"n_shared_experts", 1}})) == one_shared);
  CHECK(parameters(with(mixture(), {{"n_shared_experts", 2}})) == 2 * one_shared - 351'296);
  // Ernie's names; each router of 8 has a correction bias.
  json ernie = with(dense(), {{"model_type", "ernie4_5_moe"},
                              {"moe_num_experts", 8},
                              {"moe_k", 2},
                              {"moe_intermediate_size", 32},
                              {"moe_layer_start_index", 1},
                              {"moe_layer_end_index", 3},
                              {"moe_layer_interval", 1},
                              {"moe_num_shared_experts", 0}});
  CHECK(parameters(ernie) == 351'296 + 3 * 8);
  ernie["moe_layer_end_index"] = 2;  // a layer more has an MLP
  CHECK(parameters(ernie) == 351'296 + 2 * 8 - 49'152 - 512 + 24'576);
  // Each layer of GPT-OSS has experts as wide as intermediate_size, and biases everywhere.
  const json oss = with(dense(), {{"model_type", "gpt_oss"},
                                  {"head_dim", 16},
                                  {"experts_per_token", 2},
                                  {"num_experts_per_tok", 2},
                                  {"num_local_experts", 8},
                                  {"sliding_window", 512}});
  const std::int64_t biases = 128 + 64 + 4 + 8 + 8 * (256 + 64);  // with the heads' sinks
  CHECK(parameters(oss) == 4 * (12'288 + 128 + 8 * 24'576 + 512 + biases) + 128'064);
  CHECK(complaint(with(oss, {{"experts_per_token", 3}})) ==
        "config.json: /experts_per_token: is 3, and num_experts_per_tok is 2");
  CHECK(complaint(
            with(mixture(), {{"n_shared_experts", 2}, {"shared_expert_intermediate_size", 32}})) ==
        "config.json: /n_shared_experts: there are 2 shared experts, and whether their width of 32 "
        "is that of one or of all is not known");
  json steps = with(mixture(), {{"model_type", "qwen3_moe"}, {"decoder_sparse_step", 2}});
  steps.erase("first_k_dense_replace");
  const auto experts = [](const json& config) {
    const Model model = parse_model(config.dump(), "config.json");
    std::string text;
    for (std::int64_t i = 0; i < model.depth(); ++i)
      text += model.layer(i).experts ? 'E' : '-';
    return text;
  };
  CHECK(experts(steps) == "-E-E");
  CHECK(experts(with(steps, {{"mlp_only_layers", {3}}})) == "-E--");
  CHECK(experts(mixture()) == "-EEE");
  CHECK(experts(with(mixture(), {{"mlp_layer_types", {"sparse", "dense", "dense", "sparse"}}})) ==
        "E--E");
}

TEST_CASE("Llama 4 has a shared expert without a key, and attention to chunks") {
  json scout = with(dense(), {{"model_type", "llama4_text"},
                              {"head_dim", 16},
                              {"num_local_experts", 8},
                              {"num_experts_per_tok", 1},
                              {"intermediate_size_mlp", 256},
                              {"interleave_moe_layer_step", 1},
                              {"attention_chunk_size", 8192},
                              {"max_position_embeddings", 10'485'760}});
  // 12 288 + 128 of attention and norms, 9 × 24 576 of experts and 512 of the router.
  CHECK(parameters(scout) == 4 * (12'416 + 9 * 24'576 + 512) + 128'064);
  CHECK(mixers(scout) == "chunk chunk chunk attn");
  CHECK(mixers(with(scout, {{"no_rope_layers", {0, 1, 1, 1}}})) == "attn chunk chunk chunk");
  scout["interleave_moe_layer_step"] = 2;  // layers 1 and 3 have experts, the others MLPs of 256
  CHECK(parameters(scout) == 4 * 12'416 + 2 * (9 * 24'576 + 512) + 2 * 49'152 + 128'064);
}

TEST_CASE("Layers have windows by a list, or by the rule of their family") {
  const json window = {{"head_dim", 16}, {"sliding_window", 512}};
  const auto of = [&](const char* type, const json& more) {
    return mixers(with(with(dense(), window), with({{"model_type", type}}, more)));
  };
  CHECK(of("mistral", json::object()) == "window window window window");
  CHECK(of("mistral", {{"sliding_window", nullptr}}) == "attn attn attn attn");
  CHECK(of("mistral", {{"max_position_embeddings", 512}}) == "attn attn attn attn");
  CHECK(of("gemma2", json::object()) == "window attn window attn");
  CHECK(of("gemma3_text", {{"sliding_window_pattern", 3}}) == "window window attn window");
  CHECK(of("qwen3", {{"use_sliding_window", true}, {"max_window_layers", 3}}) ==
        "attn attn attn window");
  CHECK(of("qwen3", {{"use_sliding_window", false}, {"max_window_layers", 3}}) ==
        "attn attn attn attn");
  CHECK(of("qwen2", {{"layer_types",
                      {"full_attention", "sliding_attention", "full_attention", "full_attention"}},
                     {"use_sliding_window", true}}) == "attn window attn attn");
  CHECK(complaint(with(dense(), {{"sliding_window", 512}})) ==
        "config.json: /sliding_window: is not understood, and by its name it may tell of layers; "
        "--ignore-key sliding_window leaves the key out");
}

TEST_CASE("Hybrids list what mixes tokens, layer by layer") {
  const json mamba2 = {{"mamba_num_heads", 8}, {"mamba_head_dim", 16}, {"n_groups", 2},
                       {"ssm_state_size", 32}, {"conv_kernel", 4},     {"head_dim", 16}};
  const json nemotron = with(with(dense(), mamba2),
                             {{"model_type", "nemotron_h"}, {"hybrid_override_pattern", "M-*-"}});
  CHECK(mixers(nemotron) == "mamba - attn -");
  // Mamba-2 of 128: its input, convolution of 4 and a bias, three values a head, norm and output.
  const std::int64_t mamba = 64 * (256 + 128 + 8) + (128 + 128) * 5 + 3 * 8 + 128 + 128 * 64;
  CHECK(parameters(nemotron) ==
        mamba + 12'288 + 2 * (2 * 64 * 128) + 4 * 64 + 128'064);  // one norm a layer
  CHECK(complaint(with(nemotron, {{"hybrid_override_pattern", "M-x-"}})) ==
        "config.json: /hybrid_override_pattern: expected M, *, - and E, got \"x\"");
  CHECK(complaint(with(nemotron, {{"hybrid_override_pattern", "M-"}})) ==
        "config.json: /hybrid_override_pattern: expected 4, one for each layer, got 2");
  const json delta = {{"linear_num_key_heads", 2},   {"linear_num_value_heads", 4},
                      {"linear_key_head_dim", 8},    {"linear_value_head_dim", 16},
                      {"linear_conv_kernel_dim", 4}, {"head_dim", 16}};
  const json qwen = with(with(dense(), delta), {{"model_type", "qwen3_5_text"}});
  CHECK(mixers(qwen) == "delta delta delta attn");
  CHECK(mixers(with(qwen, {{"full_attention_interval", 2}})) == "delta attn delta attn");
  // Keys of 16, values of 64, a gate of 64, two values a head; attention has a gate and norms.
  const std::int64_t net = 64 * (2 * 16 + 2 * 64 + 2 * 4) + (32 + 64) * 4 + 2 * 4 + 16 + 64 * 64;
  CHECK(parameters(qwen) == 3 * net + 12'288 + 64 * 64 + 2 * 16 + 4 * (24'576 + 128) + 128'064);
  const json mamba1 = {{"mamba_d_state", 16},      {"mamba_d_conv", 4},
                       {"mamba_expand", 2},        {"mamba_dt_rank", 4},
                       {"attn_layer_period", 2},   {"attn_layer_offset", 1},
                       {"expert_layer_period", 4}, {"expert_layer_offset", 2},
                       {"num_experts", 8},         {"num_experts_per_tok", 2}};
  const json jamba = with(with(dense(), mamba1), {{"model_type", "jamba"}});
  CHECK(mixers(jamba) == "mamba attn mamba attn");
  const std::int64_t scan =
      64 * 256 + 128 * 5 + 128 * (4 + 32) + 4 * 128 + 128 + 128 * 16 + 128 + (4 + 32) + 128 * 64;
  CHECK(parameters(jamba) ==
        2 * scan + 2 * 12'288 + 3 * 24'576 + 8 * 24'576 + 512 + 4 * 128 + 128'064);
  const json beside = with(with(dense(), {{"mamba_n_heads", 8},
                                          {"mamba_d_head", 16},
                                          {"mamba_n_groups", 2},
                                          {"mamba_d_state", 32},
                                          {"mamba_d_conv", 4},
                                          {"mamba_d_ssm", 128}}),
                           {{"model_type", "falcon_h1"}});
  CHECK(mixers(beside) == "attn+mamba attn+mamba attn+mamba attn+mamba");
  CHECK(parameters(beside) == 276'032 + 4 * (mamba - 128));  // without the norm
  const json lightning = with(dense(), {{"model_type", "minimax_m1"},
                                        {"num_local_experts", 8},
                                        {"num_experts_per_tok", 2},
                                        {"attn_type_list", {0, 0, 1, 0}}});
  CHECK(mixers(lightning) == "lightning lightning attn lightning");
}

TEST_CASE("Values that make no sense are refused") {
  const json lightning = with(dense(), {{"model_type", "minimax_m1"},
                                        {"num_local_experts", 8},
                                        {"num_experts_per_tok", 2},
                                        {"attn_type_list", {0, 0, 1, 0}}});
  CHECK(complaint(with(lightning, {{"attn_type_list", {0, 5, 1, 0}}})) ==
        "config.json: /attn_type_list: expected 0 (lightning) or 1 (attention) for each layer");
  const json predicts = with(lightning, {{"num_nextn_predict_layers", 1}});
  CHECK(mixer_word(parse_model(predicts.dump(), "config.json").prediction(0)) == "attn");
  for (const char* key : {"mtp_hybrid_override_pattern", "mtp_layers_block_type"})
    CHECK(complaint(with(dense(), {{"num_nextn_predict_layers", 1}, {key, "M"}}))
              .starts_with("config.json: /" + std::string(key) + ": is not understood"));
  CHECK(
      complaint(with(mixture(), {{"n_group", 4}, {"topk_group", 1}, {"num_experts_per_tok", 3}})) ==
      "config.json: /topk_group: 1 of 4 groups have fewer than 3 experts");
  json missing = mixture();
  missing.erase("moe_intermediate_size");
  CHECK(complaint(missing) == "config.json: /moe_intermediate_size: is missing");
  CHECK(complaint(with(missing, {{"moe_intermediate_sizes", 32}})) ==
        "config.json: /moe_intermediate_size: is missing: is moe_intermediate_sizes meant to be "
        "it?");
  missing = mixture();
  missing.erase("n_shared_experts");
  CHECK(complaint(missing) == "config.json: /n_shared_experts: is missing");
}

TEST_CASE("A family says whether its MLPs have a gate and its norms biases") {
  CHECK(parameters(with(dense(), {{"model_type", "arcee"}, {"hidden_act", "relu2"}})) ==
        276'032 - 4 * 64 * 128);
  const std::int64_t norms = 9 * 64;
  CHECK(parameters(with(dense(), {{"model_type", "nemotron"}, {"hidden_act", "relu2"}})) ==
        276'032 - 4 * 64 * 128 + norms);
  json neox = with(dense(), {{"model_type", "gpt_neox"}, {"hidden_act", "gelu"}});
  const std::int64_t biases = 4 * (128 + 64 + 128 + 64);
  CHECK(parameters(neox) == 276'032 - 4 * 64 * 128 + norms + biases);
  CHECK(parse_model(neox.dump(), "config.json").kinds[0].is_parallel);
  neox["use_parallel_residual"] = false;
  CHECK_FALSE(parse_model(neox.dump(), "config.json").kinds[0].is_parallel);
  CHECK(parameters(with(dense(), {{"model_type", "olmo2"}})) == 276'032 + 4 * (64 + 32));
  CHECK(parameters(
            with(dense(), {{"model_type", "gemma2"}, {"head_dim", 16}, {"sliding_window", 512}})) ==
        276'032 + 4 * 2 * 64);
}

TEST_CASE("Layers with a window need its size, and prediction layers a number that there can be") {
  const json sliding = {
      {"layer_types",
       {"sliding_attention", "full_attention", "sliding_attention", "full_attention"}}};
  CHECK(complaint(with(dense(), sliding)) ==
        "config.json: /sliding_window: is missing: some layers have one");
  CHECK(mixers(with(dense(), with(sliding, {{"sliding_window", 512}}))) ==
        "window attn window attn");
  CHECK(complaint(with(dense(), {{"layer_types", {"full_attention", "full_attention"}}})) ==
        "config.json: /layer_types: expected 4, one for each layer, got 2");
  CHECK(complaint(with(dense(), {{"layer_types",
                                  {"full_attention", "full_attention", "full_attention",
                                   "linear_attention"}}})) ==
        "config.json: /layer_types: expected full_attention, sliding_attention or "
        "chunked_attention, got \"linear_attention\"");
  const json modules = {{"num_mtp_modules", 3}, {"mtp_transformer_layers", 1}};
  const auto predictions = [](const json& changes) {
    return parse_model(with(dense(), changes).dump(), "config.json").prediction_depth();
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

}  // namespace bubblescope

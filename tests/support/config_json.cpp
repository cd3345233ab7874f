#include "tests/support/config_json.h"

#include "sim/transformer/model_file.h"
#include "sim/transformer/parameters.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {

using nlohmann::json;

json dense_config() {
  return {{"model_type", "llama"},     {"hidden_size", 64},        {"num_hidden_layers", 4},
          {"num_attention_heads", 4},  {"num_key_value_heads", 2}, {"intermediate_size", 128},
          {"vocab_size", 1000},        {"hidden_act", "silu"},     {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"}, {"rope_theta", 10000}};
}

json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

json expert_config() {
  return with(dense_config(), {{"model_type", "deepseek_v2"},
                               {"num_experts", 8},
                               {"num_experts_per_tok", 2},
                               {"moe_intermediate_size", 32},
                               {"n_shared_experts", 0},
                               {"first_k_dense_replace", 1}});
}

std::int64_t parameters(const json& config) {
  return total_parameters(parse_model(config.dump(), "config.json"));
}

std::string mixers(const json& config) {
  const Model model = parse_model(config.dump(), "config.json");
  std::string text;
  for (std::int64_t i = 0; i < model.depth(); ++i) {
    const std::string word = mixer_word(model.layer(i));
    text += (i > 0 ? " " : "") + (word.empty() ? "-" : word);
  }
  return text;
}

std::string complaint(const json& config, const std::vector<std::string>& ignored) {
  return error_of([&] { parse_model(config.dump(), "config.json", ignored); });
}

}  // namespace bubblescope

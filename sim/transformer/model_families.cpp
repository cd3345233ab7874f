#include "sim/transformer/model_families.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

using Norm = Attention::Norm;
using Bias = AttentionBias;
using Moe = ExpertLayers;

constexpr std::int64_t kNormsAround = 4;  // before and behind both parts of a layer

/// From configuration_<type>.py and modeling_<type>.py of transformers, or beside the models.
constexpr Family kFamilies[] = {
    {.type = "arcee", .gated = false},
    {.type = "bailing_moe",
     .bias = Bias::InputsByKey,
     .norm = Norm::Head,
     .experts = Moe::BehindDense,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true},
    {.type = "dbrx", .bias = Bias::Never, .experts = Moe::All},
    {.type = "deepseek_v2",
     .experts = Moe::BehindDense,
     .own_expert_width = true,
     .shared_experts = true},
    {.type = "deepseek_v3",
     .experts = Moe::BehindDense,
     .first_dense = 3,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true},
    {.type = "deepseek_v32",
     .experts = Moe::BehindDense,
     .first_dense = 3,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true,
     .indexer = true},
    {.type = "dots1",
     .norm = Norm::Head,
     .windows = Windows::Behind,
     .experts = Moe::BehindDense,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true},
    {.type = "ernie4_5",
     .bias = Bias::ByUseBias,
     .tied = true,
     .key_value_heads = 2,
     .head_dim = 128},
    {.type = "ernie4_5_moe",
     .bias = Bias::ByUseBias,
     .experts = Moe::Range,
     .tied = true,
     .key_value_heads = 4,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true},
    {.type = "falcon_h1", .mixing = Mixing::Beside},
    {.type = "gemma", .tied = true, .key_value_heads = 16, .head_dim = 256},
    {.type = "gemma2",
     .windows = Windows::Even,
     .tied = true,
     .key_value_heads = 4,
     .head_dim = 256,
     .norms = kNormsAround},
    {.type = "gemma3_text",
     .norm = Norm::Head,
     .windows = Windows::Pattern,
     .tied = true,
     .key_value_heads = 4,
     .head_dim = 256,
     .norms = kNormsAround},
    {.type = "glm4",
     .bias = Bias::InputsByKey,
     .key_value_heads = 2,
     .head_dim = 128,
     .norms = kNormsAround},
    {.type = "glm4_moe",
     .bias = Bias::InputsByKey,
     .experts = Moe::BehindDense,
     .head_dim = 128,
     .first_dense = 1,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true},
    {.type = "glm_moe_dsa",
     .experts = Moe::BehindDense,
     .first_dense = 3,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true,
     .indexer = true},
    {.type = "gpt_neox",
     .bias = Bias::All,
     .norm_bias = true,
     .gated = false,
     .mlp_bias = true,
     .is_parallel = true},
    {.type = "gpt_oss",
     .bias = Bias::All,
     .windows = Windows::Even,
     .experts = Moe::All,
     .key_value_heads = 8,
     .head_dim = 64,
     .mlp_bias = true,
     .router_bias = true},
    {.type = "granite"},
    {.type = "granitemoe", .experts = Moe::All},
    {.type = "jamba",
     .mixing = Mixing::Period,
     .bias = Bias::Never,
     .experts = Moe::Period,
     .key_value_heads = 8},
    {.type = "kimi_linear",
     .mixing = Mixing::Kimi,
     .bias = Bias::Never,
     .experts = Moe::BehindDense,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true},
    {.type = "llama"},
    {.type = "llama4_text",
     .windows = Windows::Chunks,
     .experts = Moe::Interleaved,
     .key_value_heads = 8,
     .head_dim = 128},
    {.type = "mimo", .bias = Bias::InputsByKey, .windows = Windows::Late},
    {.type = "minimax",
     .mixing = Mixing::Lightning,
     .bias = Bias::Never,
     .experts = Moe::All,
     .shared_experts = true,
     .shared_gate = true},
    {.type = "minimax_m2",
     .bias = Bias::Never,
     .norm = Norm::Whole,
     .experts = Moe::All,
     .router_bias = true,
     .shared_experts = true},
    {.type = "minimax_text_01",
     .mixing = Mixing::Lightning,
     .bias = Bias::Never,
     .experts = Moe::All,
     .shared_experts = true,
     .shared_gate = true},
    {.type = "mistral",
     .bias = Bias::Never,
     .windows = Windows::All,
     .key_value_heads = 8,
     .window = 4096},
    {.type = "mixtral",
     .bias = Bias::Never,
     .windows = Windows::All,
     .experts = Moe::All,
     .key_value_heads = 8},
    {.type = "nemotron", .norm_bias = true, .gated = false},
    {.type = "nemotron_h",
     .mixing = Mixing::Pattern,
     .key_value_heads = 8,
     .head_dim = 128,
     .norms = 1,
     .gated = false,
     .router_bias = true,
     .own_expert_width = true,
     .shared_experts = true},
    {.type = "olmo2", .norm = Norm::Whole},
    {.type = "olmo3", .norm = Norm::Whole, .windows = Windows::Pattern, .pattern = 4},
    {.type = "olmoe", .norm = Norm::Whole, .experts = Moe::All},
    {.type = "phi3", .bias = Bias::Never, .windows = Windows::All},
    {.type = "phimoe",
     .windows = Windows::All,
     .experts = Moe::All,
     .key_value_heads = 8,
     .norm_bias = true},
    {.type = "qwen2", .bias = Bias::Inputs, .windows = Windows::Late, .key_value_heads = 32},
    {.type = "qwen2_moe",
     .bias = Bias::Inputs,
     .windows = Windows::Early,
     .experts = Moe::Steps,
     .key_value_heads = 16,
     .own_expert_width = true,
     .shared_experts = true,
     .shared_gate = true},
    {.type = "qwen3",
     .norm = Norm::Head,
     .windows = Windows::Late,
     .key_value_heads = 32,
     .head_dim = 128},
    {.type = "qwen3_5_moe_text",
     .mixing = Mixing::GatedDelta,
     .norm = Norm::Head,
     .experts = Moe::All,
     .key_value_heads = 2,
     .head_dim = 256,
     .own_expert_width = true,
     .shared_experts = true,
     .shared_gate = true},
    {.type = "qwen3_5_text",
     .mixing = Mixing::GatedDelta,
     .norm = Norm::Head,
     .key_value_heads = 4,
     .head_dim = 256},
    {.type = "qwen3_moe",
     .norm = Norm::Head,
     .windows = Windows::Asked,
     .experts = Moe::Steps,
     .key_value_heads = 4,
     .own_expert_width = true},
    {.type = "qwen3_next",
     .mixing = Mixing::GatedDelta,
     .norm = Norm::Head,
     .experts = Moe::Steps,
     .key_value_heads = 2,
     .head_dim = 256,
     .own_expert_width = true,
     .shared_experts = true,
     .shared_gate = true},
    {.type = "qwen3_vl_moe_text",
     .norm = Norm::Head,
     .experts = Moe::Steps,
     .key_value_heads = 16,
     .own_expert_width = true},
    {.type = "qwen3_vl_text", .norm = Norm::Head, .key_value_heads = 32, .head_dim = 128},
    {.type = "smollm3", .windows = Windows::NotRotary, .tied = true, .key_value_heads = 4},
    {.type = "starcoder2",
     .bias = Bias::ByUseBias,
     .windows = Windows::All,
     .tied = std::nullopt,  // 3B and 7B are tied, 15B is not (bigcode-project/starcoder2#18)
     .key_value_heads = 2,
     .norm_bias = true,
     .gated = false},
};

/// Types that are another's under a name of their own.
constexpr std::pair<std::string_view, std::string_view> kSame[] = {
    {"llama4", "llama4_text"},
    {"qwen3_5", "qwen3_5_text"},
    {"qwen3_5_moe", "qwen3_5_moe_text"},
    {"qwen3_vl", "qwen3_vl_text"},
    {"qwen3_vl_moe", "qwen3_vl_moe_text"},
    {"bailing_moe_v2", "bailing_moe"},
    {"kimi_k2", "deepseek_v3"},
    {"kimi_k25", "deepseek_v3"},
    {"minimax_m1", "minimax_text_01"},
};

}  // namespace

std::vector<std::string> known_model_types() {
  std::vector<std::string> types;
  for (const Family& family : kFamilies)
    types.emplace_back(family.type);
  for (const auto& [name, other] : kSame)
    types.emplace_back(name);
  std::sort(types.begin(), types.end());
  return types;
}

const Family& family_of(std::string_view model_type) {
  for (const auto& [name, other] : kSame)
    if (name == model_type)
      model_type = other;
  const auto* found = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                   [&](const Family& family) { return family.type == model_type; });
  if (found != std::end(kFamilies))
    return *found;
  const std::vector<std::string> known = known_model_types();
  throw Error(
      fmt::format("\"{}\" is not a type of model that is known{} (layers that are alike can be "
                  "told as those of "
                  "data/models/llama-3.1-405b.json)",
                  printable(model_type.substr(0, 40)), did_you_mean(model_type, known)));
}

}  // namespace bubblescope

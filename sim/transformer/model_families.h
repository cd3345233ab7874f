// Families of Hugging Face's models by model_type: what their classes have that no config.json
// tells.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/transformer/model.h"

namespace bubblescope {

/// Which matrices of attention have biases.
enum class AttentionBias : std::uint8_t {
  Never,
  Inputs,       ///< Those of queries, keys and values, without a key that says so.
  ByKey,        ///< All, by attention_bias.
  InputsByKey,  ///< Those of queries, keys and values, by attention_bias, qkv_bias, use_qkv_bias.
  All,          ///< Unless attention_bias is false.
  ByUseBias,    ///< All, and those of the MLP, by use_bias.
};

/// Which layers have a window or chunks where layer_types does not say it.
enum class Windows : std::uint8_t {
  Never,
  All,        ///< Where sliding_window is not null.
  Late,       ///< With use_sliding_window, from max_window_layers on.
  Early,      ///< With use_sliding_window, every other one up to max_window_layers.
  Asked,      ///< With use_sliding_window, all.
  Even,       ///< Every other one from the first.
  Pattern,    ///< All but each sliding_window_pattern-th.
  Behind,     ///< From max_window_layers on.
  NotRotary,  ///< With use_sliding_window, those without rotary positions.
  Chunks,     ///< Those with rotary positions have attention_chunk_size.
};

/// Which layers have experts.
enum class ExpertLayers : std::uint8_t {
  None,
  All,
  BehindDense,  ///< Those behind first_k_dense_replace, each moe_layer_freq-th; mlp_layer_types.
  Steps,        ///< Each decoder_sparse_step-th that is not of mlp_only_layers.
  Range,        ///< From moe_layer_start_index to moe_layer_end_index.
  Interleaved,  ///< Each interleave_moe_layer_step-th; moe_layers.
  Period,       ///< Of expert_layer_period and expert_layer_offset.
};

/// Kinds of mixers, and which layers have which.
enum class Mixing : std::uint8_t {
  Attention,
  GatedDelta,  ///< And attention in each full_attention_interval-th; layer_types.
  Kimi,        ///< By linear_attn_config.
  Pattern,     ///< One of mixers, MLPs, experts in each, by hybrid_override_pattern.
  Period,      ///< Mamba, and attention of attn_layer_period and attn_layer_offset.
  Beside,      ///< Attention and Mamba-2 beside one another.
  Lightning,   ///< And attention, by attn_type_list.
};

struct Family {
  std::string_view type;  ///< model_type; "": of Bubblescope's format, whose keys tell all of this.
  Mixing mixing = Mixing::Attention;
  AttentionBias bias = AttentionBias::ByKey;
  Attention::Norm norm = Attention::Norm::None;
  Windows windows = Windows::Never;
  ExpertLayers experts = ExpertLayers::None;
  std::optional<bool> tied = false;  ///< tie_word_embeddings by default; none: models differ.
  std::int64_t key_value_heads = 0;  ///< By default; 0: as many as heads.
  std::int64_t head_dim = 0;         ///< By default; 0: hidden_size over heads.
  std::int64_t window = 0;           ///< sliding_window by default; 0: none.
  std::int64_t pattern = 6;          ///< sliding_window_pattern by default.
  std::int64_t first_dense = 0;      ///< first_k_dense_replace by default.
  std::int64_t norms = 2;            ///< Of a layer.
  bool norm_bias = false;
  bool gated = true;      ///< The MLP.
  bool mlp_bias = false;  ///< Without a key that says so.
  bool is_parallel = false;
  bool router_bias = false;

  bool is_own() const { return type.empty(); }
  bool own_expert_width = false;  ///< Experts have moe_intermediate_size, not intermediate_size.
  bool shared_experts = false;    ///< There may be some.
  bool shared_gate = false;       ///< Their output has a gate.
  bool indexer = false;           ///< Attention is sparse (Indexer).
};

/// Each model_type that is read, by name.
std::vector<std::string> known_model_types();

/// Throws Error that names the nearest one where the type is not known.
const Family& family_of(std::string_view model_type);

}  // namespace bubblescope

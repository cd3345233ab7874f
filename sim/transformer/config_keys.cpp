#include "sim/transformer/config_keys.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/nearest.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr std::int64_t kLargest =
    10'000'000;  // of a dimension, which none of the real ones reaches

/// A key whose name has one of these may change what a layer computes.
constexpr std::string_view kOfLayers[] = {
    "layer",     "expert",    "attention",    "window",   "mixer",   "state",   "head",
    "rope",      "attn",      "moe",          "mlp",      "ffn",     "mtp",     "nextn",
    "predict",   "hidden",    "intermediate", "rank",     "lora",    "dim",     "width",
    "channel",   "embed",     "vocab",        "gate",     "glu",     "conv",    "share",
    "block",     "sparse",    "index",        "interval", "pattern", "period",  "freq",
    "every",     "hybrid",    "mamba",        "ssm",      "linear_", "delta",   "kda",
    "lightning", "retention", "recurren",     "rwkv",     "encoder", "decoder", "cross",
    "chunk",     "sliding",   "swa",          "local",    "global",  "dense",   "parallel",
    "residual",  "bias",      "compress",     "altup",    "laurel",  "hc_",     "loop",
    "cycle",     "tie",       "tied",         "heads",    "kv_",     "qk_",     "topk"};

/// Keys that say nothing of what a layer computes, whatever their names: training, generation,
/// numbers and files have some, and others repeat what is read.
constexpr std::string_view kNeutral[] = {"_attn_implementation",
                                         "_attn_implementation_autoset",
                                         "_commit_hash",
                                         "_experts_implementation",
                                         "_name_or_path",
                                         "architectures",
                                         "attention_dropout",
                                         "attention_in_multiplier",
                                         "attention_multiplier",
                                         "attention_out_multiplier",
                                         "attention_probs_dropout_prob",
                                         "attn_logit_softcapping",
                                         "attn_pdrop",
                                         "aux_loss_alpha",
                                         "bos_token_id",
                                         "cache_implementation",
                                         "chunk_size",
                                         "chunk_size_feed_forward",
                                         "clip_qkv",
                                         "decoder_start_token_id",
                                         "do_sample",
                                         "dtype",
                                         "emb_pdrop",
                                         "embd_pdrop",
                                         "embedding_dropout",
                                         "embedding_multiplier",
                                         "eos_token_id",
                                         "ep_size",
                                         "expand",
                                         "ffn_act_fn",
                                         "final_logit_softcapping",
                                         "full_attn_alpha_factor",
                                         "full_attn_beta_factor",
                                         "fuse_attention_ffn",
                                         "hidden_act",
                                         "hidden_activation",
                                         "hidden_dropout",
                                         "hidden_dropout_prob",
                                         "index_share_for_mtp_iteration",
                                         "indexer_rope_interleave",
                                         "initial_context_length",
                                         "initializer_range",
                                         "key_multiplier",
                                         "layer_norm_eps",
                                         "layer_norm_epsilon",
                                         "layernorm_epsilon",
                                         "layernorm_full_attention_alpha",
                                         "layernorm_full_attention_beta",
                                         "layernorm_linear_attention_alpha",
                                         "layernorm_linear_attention_beta",
                                         "layernorm_mlp_alpha",
                                         "layernorm_mlp_beta",
                                         "length_penalty",
                                         "linear_attn_alpha_factor",
                                         "linear_attn_beta_factor",
                                         "lm_head_multiplier",
                                         "logits_scaling",
                                         "mamba_chunk_size",
                                         "mamba_hidden_act",
                                         "mamba_norm_before_gate",
                                         "mamba_ssm_cache_dtype",
                                         "mamba_ssm_dtype",
                                         "mamba_use_mlp",
                                         "max_length",
                                         "max_position_embeddings",
                                         "max_seq_len",
                                         "max_window_layers",
                                         "min_length",
                                         "mla_use_nope",
                                         "mlp_alpha_factor",
                                         "mlp_beta_factor",
                                         "mlp_hidden_act",
                                         "mlp_multipliers",
                                         "model_max_length",
                                         "model_type",
                                         "moe_capacity",
                                         "moe_gate",
                                         "moe_jitter_eps",
                                         "moe_loss_weight",
                                         "moe_normalize_expert_weights",
                                         "moe_renormalize",
                                         "moe_router_activation_func",
                                         "moe_router_dtype",
                                         "moe_router_topk_scaling_factor",
                                         "moe_shared_expert_overlap",
                                         "moe_use_aux_free",
                                         "multi_token_prediction",
                                         "norm_eps",
                                         "norm_epsilon",
                                         "norm_topk_prob",
                                         "num_beam_groups",
                                         "num_beams",
                                         "num_key_value_groups",
                                         "num_logits_to_keep",
                                         "original_max_position_embeddings",
                                         "output_attentions",
                                         "output_gate_type",
                                         "output_hidden_states",
                                         "output_router_logits",
                                         "pad_token_id",
                                         "partial_rotary_factor",
                                         "postnorm",
                                         "pretraining_tp",
                                         "projectors_bias",
                                         "qk_head_dim",
                                         "quantization_config",
                                         "query_pre_attn_scalar",
                                         "rescale_prenorm_residual",
                                         "resid_pdrop",
                                         "residual_dropout",
                                         "residual_in_fp32",
                                         "residual_multiplier",
                                         "rms_norm_eps",
                                         "rope_interleave",
                                         "rope_local_base_freq",
                                         "rope_theta",
                                         "rotary_dim",
                                         "rotary_emb_base",
                                         "rotary_pct",
                                         "routed_scaling_factor",
                                         "router_aux_loss_coef",
                                         "router_jitter_noise",
                                         "scoring_func",
                                         "seq_aux",
                                         "shared_moe_mode",
                                         "ssm_in_multiplier",
                                         "ssm_multipliers",
                                         "ssm_out_multiplier",
                                         "swiglu_limit",
                                         "temperature",
                                         "time_step_floor",
                                         "time_step_limit",
                                         "time_step_max",
                                         "time_step_min",
                                         "time_step_rank",
                                         "tokenizer_class",
                                         "top_k",
                                         "top_p",
                                         "topk_method",
                                         "torch_dtype",
                                         "transformers_version",
                                         "typical_p",
                                         "uniform_expert_assignment",
                                         "unk_token_id",
                                         "use_cache",
                                         "use_mamba_kernels"};

/// Objects that say nothing of layers.
constexpr std::string_view kNeutralObjects[] = {"audio_config",
                                                "auto_map",
                                                "compression_config",
                                                "generation_config",
                                                "id2label",
                                                "label2id",
                                                "quantization_config",
                                                "rope_parameters",
                                                "rope_scaling",
                                                "task_specific_params",
                                                "transformers.js_config",
                                                "vision_config"};

/// Keys that other families read, which say nothing where they are false or 0.
constexpr std::string_view kOfOtherFamilies[] = {"attention_bias",
                                                 "attn_output_gate",
                                                 "first_k_dense_replace",
                                                 "is_encoder_decoder",
                                                 "lm_head_bias",
                                                 "mamba_proj_bias",
                                                 "mlp_bias",
                                                 "moe_num_shared_experts",
                                                 "n_shared_experts",
                                                 "num_nextn_predict_layers",
                                                 "num_shared_experts",
                                                 "q_lora_rank",
                                                 "qkv_bias",
                                                 "shared_intermediate_size",
                                                 "sliding_window",
                                                 "use_bias",
                                                 "use_mtp",
                                                 "use_parallel_residual",
                                                 "use_qk_norm",
                                                 "use_qkv_bias",
                                                 "use_sliding_window"};

bool is_among(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// In small letters, since a key that is spelt with capitals is not read either.
bool contains_any(std::string_view name, std::span<const std::string_view> words) {
  const std::string small = lower(name);
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return small.find(word) != std::string::npos; });
}

/// Whether `false` under this key means an MLP without a gate, not a feature that is absent.
bool is_of_gate(std::string_view key) {
  static constexpr std::string_view kGate[] = {"glu", "gated"};
  static constexpr std::string_view kElsewhere[] = {"moe", "expert", "att", "delta"};
  return contains_any(key, kGate) && !contains_any(key, kElsewhere);
}

/// Whether a key's value says that there is nothing of the kind.
bool is_off(std::string_view key, const json& value) {
  if (value.is_structured())
    return value.empty();
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return text.empty() || text == "default" || text == "none";
  }
  return value.is_boolean() ? !value.get<bool>() && !is_of_gate(key) : value == 0;
}

/// Whether a key says nothing of what layers compute, as models of some family are known to have
/// it.
bool is_known(std::string_view key, const json& value) {
  if (value.is_object())
    return is_among(key, kNeutralObjects);
  return is_among(key, kNeutral) || (is_off(key, value) && is_among(key, kOfOtherFamilies));
}

/// Whether one is the other with a letter more, less or changed, or has the other within it.
bool is_misspelt(std::string_view key, std::string_view read) {
  if (key.find(read) != std::string_view::npos || read.find(key) != std::string_view::npos)
    return true;
  const auto [shorter, longer] = std::minmax({key.size(), read.size()});
  std::size_t alike = 0;
  while (alike < shorter && key[alike] == read[alike])
    ++alike;
  std::size_t behind = 0;
  while (behind < shorter - alike && key[key.size() - 1 - behind] == read[read.size() - 1 - behind])
    ++behind;
  return longer - alike - behind <= 1;
}

[[noreturn]] void refuse(const ObjectReader& object, const std::string& key,
                         const std::string& why) {
  object.fail(key, fmt::format("is not understood, and {}; --ignore-key {} leaves the key out", why,
                               printable(key)));
}

}  // namespace

std::optional<std::int64_t> dimension(ObjectReader& object,
                                      std::initializer_list<const char*> names,
                                      std::int64_t least) {
  std::optional<std::int64_t> result;
  const char* first = nullptr;
  for (const char* name : names) {
    const auto value = object.optional_integer(name);
    if (!value)
      continue;
    if (*value < least || *value > kLargest)
      object.fail(name, fmt::format("expected {} to {}, got {}", least, kLargest, *value));
    if (result && *result != *value)
      object.fail(name, fmt::format("is {}, and {} is {}", *value, first, *result));
    result = value;
    first = name;
  }
  return result;
}

std::int64_t needed_dimension(ObjectReader& object, std::initializer_list<const char*> names,
                              std::int64_t least) {
  if (const auto value = dimension(object, names, least))
    return *value;
  for (const char* name : names)
    for (const std::string& key : object.unread())
      if (is_misspelt(key, name) && std::string_view(name).find(key) == std::string_view::npos)
        object.fail(name, fmt::format("is missing: is {} meant to be it?", printable(key)));
  object.fail(*names.begin(), "is missing");
}

void check_listed(const ObjectReader& object, const std::string& key,
                  const std::vector<std::int64_t>& numbers,
                  std::pair<std::int64_t, std::int64_t> range) {
  for (const std::int64_t number : numbers)
    if (number < range.first || number > range.second)
      object.fail(key, fmt::format("expected layers from {} to {}, got {}", range.first,
                                   range.second, number));
}

bool is_listed(const std::vector<std::int64_t>& numbers, std::int64_t layer) {
  return std::find(numbers.begin(), numbers.end(), layer) != numbers.end();
}

bool flag_or(ObjectReader& object, const std::string& key, bool otherwise) {
  return object.optional_flag(key).value_or(otherwise);
}

std::vector<std::string> unknown_keys(const ObjectReader& object, const json& config,
                                      std::int64_t layers) {
  std::vector<std::string> unknown;
  const std::vector<std::string>& asked = object.asked();
  for (const auto& [key, value] : config.items()) {
    if (std::find(asked.begin(), asked.end(), key) != asked.end() || is_known(key, value))
      continue;
    if (key.starts_with('_') && !contains_any(key, kOfLayers))  // a comment
      continue;
    const auto read = nearest_name(key, asked);
    if (is_off(key, value)) {
      if (read && is_misspelt(key, *read))
        refuse(object, key, fmt::format("resembles {}", *read));
      continue;
    }
    if (value.is_object())
      refuse(object, key, "is a part of the model");
    if (value.is_array() && static_cast<std::int64_t>(value.size()) == layers)
      refuse(object, key, "has a value for each layer");
    if (contains_any(key, kOfLayers))
      refuse(object, key, "by its name it may tell of layers");
    if (read)
      refuse(object, key, fmt::format("resembles {}", *read));
    unknown.push_back(key);
  }
  return unknown;
}

}  // namespace bubblescope

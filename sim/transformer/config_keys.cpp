#include "sim/transformer/config_keys.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace bubblescope {
namespace {

using nlohmann::json;
using Words = std::span<const std::string_view>;

/// A key whose name contains one of `words` is about `what`; Bubblescope reads `understood` alone.
struct Meaning {
  Words words;
  std::string_view what;
  std::string_view understood;
};

constexpr std::string_view kEncoder[] = {"encoder", "cross_att", "decoder_layers", "bidirectional",
                                         "relative_att"};
constexpr std::string_view kOtherLayers[] = {
    "hybrid",    "mamba",  "ssm",      "linear_", "attn_type", "attn_layer", "attention_interval",
    "block",     "conv_",  "_conv",    "rwkv",    "lru_",      "recurren",   "kda",
    "lightning", "delta_", "retention"};
constexpr std::string_view kPartOfTokens[] = {"index_", "indexer",   "sparse",         "compress",
                                              "window", "chunk",     "sliding",        "swa_",
                                              "global", "local_att", "attention_types"};
constexpr std::string_view kParallel[] = {"parallel_att", "parallel_block", "parallel_residual"};
constexpr std::string_view kExperts[] = {"moe", "expert"};
constexpr std::string_view kPrediction[] = {"mtp", "nextn", "predict"};
constexpr std::string_view kHeads[] = {"heads", "head_dim", "_dim",        "lora",
                                       "_rank", "channels", "multi_query", "output_gate"};
constexpr std::string_view kMlp[] = {"intermediate", "ffn",        "mlp",       "glu",
                                     "gate",         "hidden_act", "activation"};
constexpr std::string_view kUnlikeLayers[] = {"layer", "period",   "interval", "pattern", "every",
                                              "share", "altup",    "laurel",   "dense",   "hc_",
                                              "loop",  "ut_steps", "cycle"};
constexpr std::string_view kWidths[] = {"hidden_size", "vocab", "embedding_size", "embed_"};

/// The first that fits a key is what it means.
constexpr Meaning kMeanings[] = {
    {kEncoder, "an encoder or cross-attention", "decoder-only models"},
    {kOtherLayers, "layers other than softmax attention (Mamba, linear attention, convolution)",
     "layers of attention and an MLP or experts"},
    {kPartOfTokens, "sparse or local attention of this kind",
     "one sliding_window or attention_chunk_size for the whole model"},
    {kParallel, "attention and MLP beside each other in a layer", "layers of one after the other"},
    {kExperts, "experts under this key",
     "n_routed_experts (or num_local_experts, num_experts, moe_num_experts), num_experts_per_tok, "
     "moe_intermediate_size, n_shared_experts and first_k_dense_replace"},
    {kPrediction, "multi-token prediction under this key", "num_nextn_predict_layers"},
    {kHeads, "attention matrices of this kind",
     "grouped-query and multi-head latent attention with heads of one size"},
    {kMlp, "an MLP of this kind", "intermediate_size, hidden_act and mlp_bias"},
    {kUnlikeLayers, "layers that differ from one another or share parameters",
     "layers that are all alike after first_k_dense_replace"},
    {kWidths, "a second width or embedding", "hidden_size and vocab_size"}};

/// Names that contain one of these say nothing of sizes, whatever else they contain.
constexpr std::string_view kNeutralParts[] = {
    "router", "routing", "rotary", "rope",      "token_id",  "token_index", "drop",
    "loss",   "coef",    "dtype",  "theta",     "init",      "quant",       "norm",
    "bias",   "swiglu_", "limit",  "recompute", "checkpoint"};

/// Nor do these: of training, of generation, of files, or repeating what other keys say.
constexpr std::string_view kNeutral[] = {"auto_map",
                                         "audio_config",
                                         "chunk_size_feed_forward",
                                         "compression_config",
                                         "embed_scale",
                                         "encoder_no_repeat_ngram_size",
                                         "fuse_attention_ffn",
                                         "generation_config",
                                         "id2label",
                                         "label2id",
                                         "max_window_layers",
                                         "moe_capacity",
                                         "moe_gate",
                                         "moe_gate_act",
                                         "moe_shared_expert_overlap",
                                         "moe_use_aux_free",
                                         "num_key_value_groups",
                                         "qk_head_dim",
                                         "sliding_window_pattern",
                                         "task_specific_params",
                                         "transformers.js_config",
                                         "vision_config"};

/// In small letters, since a key that is spelt with capitals is not read either.
bool contains_any(std::string_view name, Words words) {
  std::string small(name);
  std::transform(small.begin(), small.end(), small.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return small.find(word) != std::string::npos; });
}

bool is_neutral(std::string_view key) {
  return key.ends_with("_eps") || contains_any(key, kNeutralParts) ||
         std::find(std::begin(kNeutral), std::end(kNeutral), key) != std::end(kNeutral);
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

[[noreturn]] void refuse(const ObjectReader& object, const std::string& key, std::string_view what,
                         std::string_view understood) {
  object.fail(key, fmt::format("{}: not modelled. Bubblescope reads {}. --ignore-key {} leaves the "
                               "key out",
                               what, understood, key));
}

}  // namespace

void refuse_unread_keys(const ObjectReader& object, const json& config, std::int64_t layers) {
  std::vector<std::string> keys = object.unread();
  std::erase_if(
      keys, [&](const std::string& key) { return is_neutral(key) || is_off(key, config.at(key)); });
  for (const Meaning& each : kMeanings)
    for (const std::string& key : keys)
      if (contains_any(key, each.words))
        refuse(object, key, each.what, each.understood);
  for (const std::string& key : keys) {
    const json& value = config.at(key);
    if (value.is_object() ||
        (value.is_array() && static_cast<std::int64_t>(value.size()) == layers))
      refuse(object, key,
             value.is_object() ? "a part of the model" : "values that differ from layer to layer",
             "keys with one value for all layers");
  }
}

void refuse_other_layers(ObjectReader& object, std::int64_t layers) {
  for (const char* key :
       {"decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step", "moe_layer_interval"})
    if (object.has(key) && object.integer(key) != 1)
      object.fail(key, "expected 1: beyond first_k_dense_replace all layers are taken to be alike");
  if (object.has("moe_layer_end_index") && object.integer("moe_layer_end_index") != layers - 1)
    object.fail("moe_layer_end_index",
                fmt::format("expected {}, the last of {} layers", layers - 1, layers));
  if (object.has("mlp_only_layers") && !object.integers("mlp_only_layers").empty())
    object.fail("mlp_only_layers",
                "expected none: layers without experts are those of first_k_dense_replace");
  if (object.has("attn_type_list"))
    for (const std::int64_t type : object.integers("attn_type_list"))
      if (type != 1)
        object.fail("attn_type_list",
                    fmt::format("expected 1, full attention, in all layers, got {}", type));
  if (!object.has("layer_types"))
    return;
  const std::vector<std::string> types = object.words("layer_types");
  if (static_cast<std::int64_t>(types.size()) != layers)
    object.fail("layer_types",
                fmt::format("expected one for each of {} layers, got {}", layers, types.size()));
  for (const std::string& type : types) {
    const char* window = type == "sliding_attention"   ? "sliding_window"
                         : type == "chunked_attention" ? "attention_chunk_size"
                                                       : nullptr;
    if (type != "full_attention" && window == nullptr)
      object.fail("layer_types", fmt::format("expected full_attention, sliding_attention or "
                                             "chunked_attention, got \"{}\"",
                                             type.substr(0, 40)));
    if (window != nullptr && !object.has(window))
      object.fail("layer_types", fmt::format("{} needs {} beside it", type, window));
  }
}

void refuse_encoder(ObjectReader& object) {
  const auto check = [&](const char* key, const std::string& name) {
    if (name.find("bert") != std::string::npos || name.find("Bert") != std::string::npos ||
        name.ends_with("ForMaskedLM"))
      object.fail(key, fmt::format("\"{}\" is an encoder: expected a decoder; --ignore-key {} "
                                   "leaves the key out",
                                   name.substr(0, 40), key));
  };
  if (object.has("model_type"))
    check("model_type", object.text("model_type"));
  if (object.has("architectures"))
    for (const std::string& name : object.words("architectures"))
      check("architectures", name);
}

}  // namespace bubblescope

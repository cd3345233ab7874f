#include <algorithm>

#include <fmt/format.h>

#include "sim/transformer/config_rules.h"

namespace bubblescope {
namespace {

/// Attention has this in common in all layers of a model.
Attention read_attention(const LayerConfig& config) {
  ObjectReader& object = config.object;
  const Family& family = config.family;
  Attention attention{.heads = needed_dimension(object, {"num_attention_heads", "n_heads"}),
                      .norm = family.norm};
  attention.key_value_heads =
      dimension(object, {"num_key_value_heads", "kv_n_heads"})
          .value_or(family.key_value_heads > 0 ? family.key_value_heads : attention.heads);
  if (attention.heads % attention.key_value_heads != 0)
    object.fail("num_key_value_heads", fmt::format("{} does not divide the {} heads",
                                                   attention.key_value_heads, attention.heads));
  const auto head_dim = dimension(object, {"head_dim", "attention_head_dim"});
  if (const auto rank = dimension(object, {"kv_lora_rank"})) {
    attention.latent = LatentAttention{
        .query_rank = family.is_own() ? dimension(object, {"q_lora_rank"}, 0).value_or(0)
                                      : needed_dimension(object, {"q_lora_rank"}, 0),
        .key_value_rank = *rank,
        .nope_dim = needed_dimension(object, {"qk_nope_head_dim"}),
        .rope_dim = needed_dimension(object, {"qk_rope_head_dim"})};
    attention.key_dim = attention.latent->nope_dim + attention.latent->rope_dim;
    attention.value_dim = needed_dimension(object, {"v_head_dim"});
    attention.key_value_heads = attention.heads;
    return attention;
  }
  for (const char* key : {"q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"})
    if (object.has(key))
      object.fail(key, "is of multi-head latent attention and needs kv_lora_rank beside it");
  if (!head_dim && family.head_dim == 0 && config.hidden % attention.heads != 0)
    object.fail("num_attention_heads",
                fmt::format("{} heads do not divide hidden_size {}, and there is no head_dim",
                            attention.heads, config.hidden));
  attention.key_dim = attention.value_dim =
      head_dim.value_or(family.head_dim > 0 ? family.head_dim : config.hidden / attention.heads);
  return attention;
}

void read_biases(ObjectReader& object, const Family& family, Attention& attention) {
  switch (family.bias) {
    case AttentionBias::Never:
      return;
    case AttentionBias::Inputs:
      attention.bias = flag_or(object, "qkv_bias", true);
      return;
    case AttentionBias::InputsByKey:
      attention.bias = flag_or(object, "attention_bias", flag_or(object, "use_qkv_bias", false));
      return;
    case AttentionBias::ByUseBias:
      attention.bias = attention.output_bias =
          flag_or(object, "use_bias", family.type == "starcoder2");
      return;
    case AttentionBias::ByKey:
    case AttentionBias::All:
      attention.bias = attention.output_bias =
          flag_or(object, "attention_bias", family.bias == AttentionBias::All);
  }
}

bool has_window_on_request(const Family& family) {
  return family.windows == Windows::Late || family.windows == Windows::Early ||
         family.windows == Windows::Asked || family.windows == Windows::NotRotary;
}

void read_query_key_norm(ObjectReader& object, const Family& family, Attention& attention) {
  if (family.is_own() || !object.has("use_qk_norm"))
    return;
  const bool has_norm = object.flag("use_qk_norm");
  if (family.type == "llama4_text")  // whose norm has no weights
    return;
  if (!has_norm)
    attention.norm = Attention::Norm::None;
  else if (attention.norm == Attention::Norm::None)
    attention.norm = Attention::Norm::Head;
  if (object.has("qk_norm_type") && object.text("qk_norm_type") != "per_layer")
    object.fail("qk_norm_type", "expected per_layer");
}

}  // namespace

std::vector<std::string> LayerConfig::words(const std::string& key) const {
  if (!object.has(key))
    return {};
  std::vector<std::string> words = object.words(key);
  check_length(key, words.size());
  return words;
}

std::vector<std::int64_t> LayerConfig::numbers(const std::string& key) const {
  if (!object.has(key))
    return {};
  std::vector<std::int64_t> numbers = object.integers(key);
  if (!numbers.empty())
    check_length(key, numbers.size());
  return numbers;
}

void LayerConfig::check_length(const std::string& key, std::size_t size) const {
  if (static_cast<std::int64_t>(size) != depth)
    object.fail(key, fmt::format("expected {}, one for each layer, got {}", depth, size));
}

void LayerConfig::refuse_word(const std::string& key, std::string_view word,
                              std::string_view expected) const {
  object.fail(key, fmt::format("expected {}, got \"{}\"", expected, word.substr(0, 40)));
}

AttentionRule::AttentionRule(const LayerConfig& config)
    : config_(config), common_(read_attention(config)) {
  ObjectReader& object = config.object;
  read_biases(object, config.family, common_);
  if (config.family.mixing == Mixing::GatedDelta)
    common_.output_gate = flag_or(object, "attn_output_gate", true);
  common_.sinks = config.family.type == "gpt_oss";
  read_query_key_norm(object, config.family, common_);
  if (!config.family.is_own())
    types_ = config.words("layer_types");
  if (config.family.windows != Windows::Never || has_types())
    read_windows();
  read_indexer();
  // As MiniMax's hybrids have it, but without lightning attention.
  if (config.family.type == "minimax_m2")
    for (const std::int64_t type : config.numbers("attn_type_list"))
      if (type != 1)
        object.fail("attn_type_list", "expected 1, attention, in each layer");
}

void AttentionRule::read_windows() {
  ObjectReader& object = config_.object;
  const Family& family = config_.family;
  constexpr std::int64_t kRotaryInterval = 4;
  const auto window = dimension(object, {"sliding_window", "sliding_window_size"}, 0);
  const auto positions = object.optional_integer("max_position_embeddings");
  const bool is_used = flag_or(object, "use_sliding_window", !has_window_on_request(family));
  window_ = is_used ? window.value_or(family.window) : 0;
  chunk_ = family.windows == Windows::Chunks
               ? needed_dimension(object, {"attention_chunk_size"})
               : dimension(object, {"attention_chunk_size"}).value_or(0);
  if (positions && window_ >= *positions)
    window_ = 0;
  if (positions && chunk_ >= *positions)
    chunk_ = 0;
  late_ = dimension(object, {"max_window_layers"}, 0).value_or(0);
  pattern_ = dimension(object, {"sliding_window_pattern"}).value_or(family.pattern);
  rotary_ = config_.numbers("no_rope_layers");
  rotary_interval_ = dimension(object, {"no_rope_layer_interval"}).value_or(kRotaryInterval);
  const bool needs_window =
      family.windows == Windows::Even || family.windows == Windows::Pattern ||
      std::find(types_.begin(), types_.end(), "sliding_attention") != types_.end();
  if (needs_window && !window)
    object.fail("sliding_window", "is missing: some layers have one");
}

void AttentionRule::read_indexer() {
  if (!config_.family.indexer)
    return;
  ObjectReader& object = config_.object;
  common_.indexer = Indexer{.heads = needed_dimension(object, {"index_n_heads"}),
                            .dim = needed_dimension(object, {"index_head_dim"}),
                            .kept = needed_dimension(object, {"index_topk"})};
  indexers_ = config_.words("indexer_types");
  for (const std::string& word : indexers_)
    if (word != "full" && (word != "shared" || &word == &indexers_.front()))
      config_.refuse_word("indexer_types", word, "full first, then full or shared");
  const auto interval = dimension(object, {"index_topk_freq"});
  const std::int64_t offset = dimension(object, {"index_skip_topk_offset"}, 0).value_or(2);
  if (interval && indexers_.empty())
    for (std::int64_t i = 0; i < config_.depth; ++i)
      indexers_.emplace_back(std::max<std::int64_t>(i - offset + 1, 0) % *interval == 0 ? "full"
                                                                                        : "shared");
}

std::string_view AttentionRule::type(std::int64_t layer) const {
  return layer < static_cast<std::int64_t>(types_.size()) ? types_[static_cast<std::size_t>(layer)]
                                                          : std::string_view();
}

Attention AttentionRule::at(std::int64_t layer) const {
  Attention result = common_;
  if (layer < static_cast<std::int64_t>(indexers_.size()) &&
      indexers_[static_cast<std::size_t>(layer)] == "shared")
    result.indexer = Indexer{.kept = common_.indexer->kept};
  const std::string_view word = type(layer);
  if (word == "sliding_attention")
    result.window = window_;
  else if (word == "chunked_attention")
    result.chunk = chunk_;
  else if (word.empty() && !has_types() && layer < config_.depth)
    set_window(layer, result);
  else if (!word.empty() && word != "full_attention" && word != "attention" &&
           word != "deepseek_sparse_attention")
    config_.refuse_word("layer_types", word,
                        "full_attention, sliding_attention or chunked_attention");
  return result;
}

void AttentionRule::set_window(std::int64_t i, Attention& attention) const {
  constexpr std::int64_t kEveryOther = 2;
  switch (config_.family.windows) {
    case Windows::Never:
      return;
    case Windows::All:
    case Windows::Asked:
      attention.window = window_;
      return;
    case Windows::Late:
    case Windows::Behind:
      attention.window = i >= late_ ? window_ : 0;
      return;
    case Windows::NotRotary:
      attention.window = is_rotary(i) ? 0 : window_;
      return;
    case Windows::Early:
      attention.window = i < late_ && i % kEveryOther == 0 ? window_ : 0;
      return;
    case Windows::Even:
      attention.window = i % kEveryOther == 0 ? window_ : 0;
      return;
    case Windows::Pattern:
      attention.window = (i + 1) % pattern_ == 0 ? 0 : window_;
      return;
    case Windows::Chunks:
      attention.chunk = is_rotary(i) ? chunk_ : 0;
  }
}

bool AttentionRule::is_rotary(std::int64_t i) const {
  return rotary_.empty() ? (i + 1) % rotary_interval_ != 0
                         : rotary_[static_cast<std::size_t>(i)] != 0;
}

}  // namespace bubblescope

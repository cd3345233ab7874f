// Which layers of a config.json have which attention, mixers and experts: each rule reads what a
// family's layers have in common, and then gives what a layer has, by its number from 0. The layer
// behind the last one is that of multi-token prediction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/transformer/config_keys.h"
#include "sim/transformer/model_families.h"

namespace bubblescope {

/// A config.json whose number of layers is known.
struct LayerConfig {
  ObjectReader& object;
  const Family& family;
  std::int64_t hidden;
  std::int64_t depth;

  /// A list has a word, or a number, for each layer; empty where it is missing.
  std::vector<std::string> words(const std::string& key) const;
  std::vector<std::int64_t> numbers(const std::string& key) const;
  void check_length(const std::string& key, std::size_t size) const;
  [[noreturn]] void refuse_word(const std::string& key, std::string_view word,
                                std::string_view expected) const;
};

/// Softmax attention: heads, windows and indexers.
class AttentionRule {
 public:
  explicit AttentionRule(const LayerConfig& config);

  /// All layers have this in common.
  const Attention& common() const { return common_; }
  Attention at(std::int64_t layer) const;
  /// The word for a layer in layer_types; empty where it is missing.
  std::string_view type(std::int64_t layer) const;
  bool has_types() const { return !types_.empty(); }

 private:
  void read_windows();
  void read_indexer();
  void set_window(std::int64_t layer, Attention& attention) const;
  bool is_rotary(std::int64_t layer) const;

  LayerConfig config_;
  Attention common_ = {};
  std::vector<std::string> types_ = {};
  std::vector<std::string> indexers_ = {};
  std::vector<std::int64_t> rotary_ = {};
  std::int64_t rotary_interval_ = 0;
  std::int64_t window_ = 0;
  std::int64_t chunk_ = 0;
  std::int64_t late_ = 0;
  std::int64_t pattern_ = 0;
};

/// All that mixes tokens, attention among it. A pattern of letters, where layers are one of mixer,
/// MLP and experts each, is M (Mamba-2), * (attention), - (MLP) and E (experts).
class MixerRule {
 public:
  explicit MixerRule(const LayerConfig& config);

  const Attention& attention() const { return attention_.common(); }
  std::vector<Mixer> at(std::int64_t layer) const;
  /// Empty where layers are no pattern.
  const std::string& letters() const { return letters_; }
  std::vector<Mixer> of_letters(std::string_view letters) const;

 private:
  void read_kimi();
  bool is_recurrent(std::int64_t layer) const;

  LayerConfig config_;
  AttentionRule attention_;
  Recurrence recurrence_ = {};
  std::string letters_ = {};
  std::vector<std::int64_t> kimi_ = {};       // kda_layers, from 1
  std::vector<std::int64_t> lightning_ = {};  // attn_type_list
  std::int64_t interval_ = 1;
  std::int64_t offset_ = 0;
};

/// The letters under one of two keys, of which the other lists words; empty where there is none.
std::string pattern_letters(const LayerConfig& config, const std::string& text_key,
                            const std::string& list_key);

/// MLPs and experts.
class FeedForwardRule {
 public:
  /// `use_bias` where one key tells of all biases; `letters` where layers are a pattern.
  FeedForwardRule(const LayerConfig& config, bool use_bias, std::string_view letters);

  void add_mlp(LayerKind& kind) const;
  void add_experts(LayerKind& kind) const { kind.experts = experts_; }
  /// Adds what the layer has.
  void add(std::int64_t layer, LayerKind& kind) const;

 private:
  void read_expert_layers();
  bool has_experts(std::int64_t layer) const;

  LayerConfig config_;
  Mlp mlp_ = {};
  std::optional<Experts> experts_ = {};
  std::vector<std::string> types_ = {};    // mlp_layer_types
  std::vector<std::int64_t> dense_ = {};   // mlp_only_layers
  std::vector<std::int64_t> sparse_ = {};  // moe_layers
  std::int64_t first_ = 0;
  std::int64_t last_ = 0;
  std::int64_t step_ = 1;
  std::int64_t offset_ = 0;
};

}  // namespace bubblescope

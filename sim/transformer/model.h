// A transformer as its dimensions tell it, and how many parameters it has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bubblescope {

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): queries, keys and values are made
/// of compressed vectors.
struct LatentAttention {
  std::int64_t query_rank = 0;  ///< 0: queries are not compressed.
  std::int64_t key_value_rank = 0;
  std::int64_t nope_dim = 0;  ///< Of a head's query and key, without position.
  std::int64_t rope_dim = 0;  ///< With position; keys share it over all heads.
};

/// A mixture of experts in place of the MLP.
struct Experts {
  std::int64_t count = 0;      ///< Routed ones.
  std::int64_t per_token = 0;  ///< Of which each token goes to these.
  std::int64_t width = 0;
  std::int64_t shared_width = 0;      ///< Of all shared experts together; 0: none.
  std::int64_t first_dense = 0;       ///< So many layers have an MLP instead.
  std::int64_t groups = 1;            ///< Node-limited routing: of so many groups of experts
  std::int64_t groups_per_token = 1;  ///< each token goes to these.
};

/// Counts are of elements; nothing is divided over ranks here.
struct Model {
  std::string name = {};
  std::string description = {};  ///< Where the numbers come from.
  std::string note = {};  ///< Names the parts of the file that the model leaves out; empty if none.
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t key_value_heads = 0;  ///< Fewer than heads: grouped-query attention.
  std::int64_t key_dim = 0;          ///< Of a head's query and key.
  std::int64_t value_dim = 0;        ///< Of a head's value.
  std::int64_t mlp_width = 0;
  bool gated = true;  ///< Three matrices (SwiGLU) instead of two (GELU).
  bool attention_bias = false;
  bool mlp_bias = false;
  bool query_key_norm = false;
  bool dropout = false;
  std::int64_t learned_positions = 0;
  std::int64_t attention_window = 0;  ///< Of some or all layers, in tokens; 0: none.
  std::int64_t vocabulary = 0;
  bool tied_embeddings = false;        ///< The head is the embedding's matrix.
  std::int64_t prediction_layers = 0;  ///< Multi-token prediction, beyond `layers`.
  std::optional<LatentAttention> latent = {};
  std::optional<Experts> experts = {};

  bool has_experts(std::int64_t layer) const { return experts && layer >= experts->first_dense; }
  /// Columns of the MLP's first matrix: the gate's and its own.
  std::int64_t widened(std::int64_t width) const { return gated ? 2 * width : width; }
  std::int64_t query_width() const { return heads * key_dim; }
  std::int64_t key_width() const { return key_value_heads * key_dim; }
  std::int64_t value_width() const { return key_value_heads * value_dim; }
  /// What attention gives to its last matrix.
  std::int64_t output_width() const { return heads * value_dim; }
};

/// Parameters of the parts of a model.
std::int64_t attention_parameters(const Model& model);
std::int64_t mlp_parameters(const Model& model, std::int64_t width);
/// The two of a layer's own norms.
std::int64_t norm_parameters(const Model& model);
/// All routed experts of a layer.
std::int64_t expert_parameters(const Model& model);
/// Router and shared experts of a layer with experts.
std::int64_t shared_expert_parameters(const Model& model);
std::int64_t layer_parameters(const Model& model, bool has_experts);
std::int64_t embedding_parameters(const Model& model);
/// The final norm and, unless it is tied, the head's matrix.
std::int64_t head_parameters(const Model& model);
/// One multi-token prediction module without its embedding and head, which are the model's
/// (DeepSeek-V3, section 2.2).
std::int64_t prediction_parameters(const Model& model);

/// Without multi-token prediction, as models are named.
std::int64_t total_parameters(const Model& model);
/// Those that a token meets; the embedding, where it meets one row, is left out.
std::int64_t activated_parameters(const Model& model);

}  // namespace bubblescope

// A model as its dimensions tell it: layers, each made of what mixes tokens and what follows it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace bubblescope {

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): queries, keys and values are made
/// of compressed vectors.
struct LatentAttention {
  std::int64_t query_rank = 0;  ///< 0: queries are not compressed.
  std::int64_t key_value_rank = 0;
  std::int64_t nope_dim = 0;  ///< Of a head's query and key, without position.
  std::int64_t rope_dim = 0;  ///< With position; keys share it over all heads.

  bool operator==(const LatentAttention&) const = default;
};

/// The lightning indexer of sparse attention (DeepSeek-V3.2, arXiv 2512.02556): heads of its own
/// score all tokens before a query, which then attends to those that score best.
struct Indexer {
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::int64_t kept = 0;  ///< Tokens that a query attends to.

  bool operator==(const Indexer&) const = default;
};

/// Softmax attention.
struct Attention {
  enum class Norm : std::uint8_t {
    None,
    Head,   ///< Queries and keys are normalized head by head.
    Whole,  ///< Over all heads.
  };

  std::int64_t heads = 0;
  std::int64_t key_value_heads = 0;  ///< Fewer than heads: grouped-query attention.
  std::int64_t key_dim = 0;          ///< Of a head's query and key.
  std::int64_t value_dim = 0;        ///< Of a head's value.
  std::int64_t window = 0;           ///< The newest tokens, to which one attends; 0: all before it.
  std::int64_t chunk = 0;  ///< The tokens of a block, which attend to its own; 0: no blocks.
  bool bias = false;       ///< Of queries, keys and values.
  bool output_bias = false;
  bool output_gate = false;  ///< A gate for each value that attention gives to its last matrix.
  bool sinks = false;        ///< A learned score a head beside those of tokens.
  Norm norm = Norm::None;
  std::optional<LatentAttention> latent = {};
  std::optional<Indexer> indexer = {};

  std::int64_t query_width() const { return heads * key_dim; }
  std::int64_t key_width() const { return key_value_heads * key_dim; }
  std::int64_t value_width() const { return key_value_heads * value_dim; }
  /// Width of what the last matrix takes.
  std::int64_t output_width() const { return heads * value_dim; }
  bool operator==(const Attention&) const = default;
};

/// A mixer that keeps a state of fixed size, not keys and values: each head has one of key_dim ×
/// value_dim.
struct Recurrence {
  enum class Kind : std::uint8_t {
    GatedDelta,  ///< Gated delta net (arXiv 2412.06464), as Qwen3-Next has it.
    KimiDelta,   ///< Kimi Delta Attention (arXiv 2510.26692): its decay differs by channel.
    Lightning,   ///< Lightning attention (arXiv 2401.04658), as MiniMax-01 has it.
    Mamba,       ///< Selective state space (arXiv 2312.00752): a head is one channel.
    Mamba2,      ///< State space duality (arXiv 2405.21060).
  };

  Kind kind = Kind::GatedDelta;
  std::int64_t heads = 0;
  std::int64_t key_heads = 0;  ///< Heads, or groups of them, with keys of their own.
  std::int64_t key_dim = 0;
  std::int64_t value_dim = 0;
  std::int64_t convolution = 0;  ///< Tokens that a short convolution reads; 0: there is none.
  bool convolution_bias = false;
  std::int64_t rank = 0;     ///< Of Mamba's steps and Kimi's gates.
  bool norms_steps = false;  ///< Mamba's steps, keys and queries are normalized, as in Jamba.
  bool norms_output = true;

  std::int64_t key_width() const { return key_heads * key_dim; }
  std::int64_t value_width() const { return heads * value_dim; }
  bool operator==(const Recurrence&) const = default;
};

using Mixer = std::variant<Attention, Recurrence>;

/// Two matrices, or three with a gate (SwiGLU).
struct Mlp {
  std::int64_t width = 0;
  bool gated = true;
  bool bias = false;

  /// Columns of the first matrix: the gate's and its own.
  std::int64_t widened() const { return gated ? 2 * width : width; }
  bool operator==(const Mlp&) const = default;
};

/// A mixture of experts.
struct Experts {
  std::int64_t count = 0;      ///< Routed ones.
  std::int64_t per_token = 0;  ///< Of which each token goes to these.
  Mlp each = {};
  std::int64_t latent_width = 0;  ///< Of tokens as they are sent to experts; 0: the model's.
  std::int64_t shared_width = 0;  ///< Of all shared experts together; 0: none.
  bool shared_gate = false;       ///< A gate for the shared experts' output.
  bool router_bias = false;
  std::int64_t groups = 1;            ///< Node-limited routing: of so many groups of experts
  std::int64_t groups_per_token = 1;  ///< each token goes to these.

  Mlp shared() const { return {.width = shared_width, .gated = each.gated, .bias = each.bias}; }
  bool operator==(const Experts&) const = default;
};

/// The layers that are alike.
struct LayerKind {
  std::vector<Mixer> mixers = {};  ///< None; one; or several beside one another.
  std::optional<Mlp> mlp = {};
  std::optional<Experts> experts = {};
  bool is_parallel = false;  ///< The MLP reads what the mixer reads, and not its output.
  std::int64_t norms = 2;    ///< Of hidden states.

  bool has_feed_forward() const { return mlp || experts; }
  /// Norms of the mixers; the others are the feed-forward's.
  std::int64_t mixer_norms() const {
    return mixers.empty() ? 0 : has_feed_forward() ? (norms + 1) / 2 : norms;
  }
  std::int64_t feed_forward_norms() const { return norms - mixer_norms(); }
  bool operator==(const LayerKind&) const = default;
};

/// Counts are of elements; nothing is divided over ranks here.
struct Model {
  std::string name = {};
  std::string description = {};  ///< Where the numbers come from.
  std::string note = {};  ///< Names the parts of the file that the model leaves out; empty if none.
  std::vector<std::string> ignored_keys = {};  ///< Of the file, which were not understood.
  std::int64_t hidden = 0;
  std::int64_t vocabulary = 0;
  std::int64_t learned_positions = 0;
  bool tied_embeddings = false;  ///< The head is the embedding's matrix.
  bool head_bias = false;
  bool norm_bias = false;  ///< Norms have biases (LayerNorm).
  bool dropout = false;    ///< It is trained with dropout, whose masks are kept.
  std::vector<LayerKind> kinds = {};
  std::vector<std::uint8_t> layers = {};       ///< [layer] in `kinds`
  std::vector<std::uint8_t> predictions = {};  ///< Of multi-token prediction, likewise.

  std::int64_t depth() const { return static_cast<std::int64_t>(layers.size()); }
  std::int64_t prediction_depth() const { return static_cast<std::int64_t>(predictions.size()); }
  const LayerKind& layer(std::int64_t index) const {
    return kinds[layers[static_cast<std::size_t>(index)]];
  }
  /// A module of multi-token prediction.
  const LayerKind& prediction(std::int64_t index) const {
    return kinds[predictions[static_cast<std::size_t>(index)]];
  }
  bool has_experts() const;
};

/// So many layers of one kind.
Model uniform_model(LayerKind kind, std::int64_t layers);

/// "attn", "window", "chunk", "sparse", "delta", "lightning", "mamba"; those beside one another are
/// joined by "+", and a layer without any has "router" or "".
std::string mixer_word(const LayerKind& kind);
/// "attention in a window of 128, 4 of 128 experts"
std::string describe(const LayerKind& kind);
/// "18 × attention in a window of 128, 4 of 128 experts; 18 × attention, …": the layers by kind.
std::string describe_layers(const Model& model);

}  // namespace bubblescope

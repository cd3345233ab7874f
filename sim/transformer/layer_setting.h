// What is trained, how, on what, and how many tokens of it one GPU has.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/transformer/hardware.h"
#include "sim/transformer/model.h"
#include "sim/transformer/parallel.h"
#include "sim/transformer/parameters.h"

namespace bubblescope {

/// Parts of a layer that are made again in the backward instead of being kept.
struct Recompute {
  bool norms = false;
  bool activation = false;  ///< Outputs of activation functions.
  bool latent_up = false;   ///< Up-projections of latent attention.
  bool scores = false;      ///< Scores of attention that is not fused.
  bool mlp = false;         ///< All of a dense MLP but its input.
  bool experts = false;     ///< All of a layer of experts but its input, messages too.
  bool layer = false;       ///< All but the layer's input: the whole forward runs again.

  friend bool operator==(const Recompute&, const Recompute&) = default;
};
constexpr Recompute kRecomputeNone = {};
/// These are cheap to make again (DeepSeek-V3, section 3.2.3; Korthikanti et al., arXiv 2205.05198,
/// section 5).
constexpr Recompute kRecomputeSelective = {
    .norms = true, .activation = true, .latent_up = true, .scores = true};
constexpr Recompute kRecomputeFull = {.layer = true};

/// How tokens go to their experts on other GPUs, and come back.
enum class Dispatch : std::uint8_t {
  AllToAll,  ///< NCCL: a copy in bf16 for each expert that a token goes to.
  DeepEp,  ///< A copy for each node, which passes it on over NVLink; quantized where products are.
  HybridEp,  ///< A copy in bf16 for each GPU of an NVLink domain, and one for each other domain.
};

/// How attention reaches the tokens of other GPUs of a context group.
enum class ContextMessages : std::uint8_t {
  Ring,       ///< Keys and values go around, beside attention to those that are there.
  AllGather,  ///< They are gathered before.
  AllToAll,   ///< Tokens are changed for heads, and back.
};

/// How attention is computed.
enum class AttentionKernels : std::uint8_t {
  Flash,    ///< FlashAttention, in bf16.
  Fp8,      ///< Likewise, with products in fp8.
  Unfused,  ///< Scores are written to memory.
};

/// How the loss is made of logits.
enum class LossKernels : std::uint8_t {
  Fused,     ///< By one kernel, which keeps them in bf16.
  Unfused,   ///< By several, in fp32.
  Gathered,  ///< Likewise, of all columns on each GPU of the tensor group.
};

/// Which launches the host records once and replays as a graph.
enum class CudaGraphs : std::uint8_t { None, Moe, Attention, Full };

/// The order in which an F&B pair launches the phases of a layer.
enum class PairOrder : std::uint8_t {
  DeepSeek,  ///< As in DeepSeek's published trace of DualPipe.
  Megatron,  ///< TransformerLayerSchedulePlan.run of Megatron-Core.
};

/// How reductions and gathers go over GPUs that are in several nodes.
enum class Collectives : std::uint8_t { Ring, Hierarchical };

/// What is trained, and how.
struct Training {
  std::int64_t microbatch = 1;   ///< Sequences.
  std::int64_t sequence = 4096;  ///< Tokens of one.
  Precision precision = Precision::Bf16;
  Fp8Recipe fp8_recipe = Fp8Recipe::Block;
  Recompute recompute = kRecomputeNone;
  std::optional<std::int64_t> recomputed_layers = {};  ///< The first of each stage; none: all.
  PairOrder pair_order = PairOrder::DeepSeek;
  bool sequence_parallel = true;  ///< The tensor group divides tokens in norms and residuals too.
  bool tensor_overlap = false;    ///< Its collectives run beside the products that they feed.
  AttentionKernels attention = AttentionKernels::Flash;
  bool fused_norms = true;  ///< A norm is one kernel, and not one for each of its steps.
  LossKernels loss = LossKernels::Fused;
  Dispatch dispatch = Dispatch::DeepEp;
  bool dispatch_overlap = false;  ///< Beside what another micro-batch computes.
  bool fused_experts = false;     ///< Their activation functions are part of their products.
  CudaGraphs cuda_graphs = CudaGraphs::None;
  double expert_imbalance = 1;  ///< Rows of the fullest GPU's experts over the mean's.
  bool gather_overlap = false;  ///< Parameters that ZeRO 1 divided are gathered beside forwards.
  int zero = 1;                 ///< ZeRO stage: 1 divides optimizer state over data parallelism, 2
                                ///< gradients too, 3 parameters too.
  int gradient_bytes = 4;       ///< One gradient takes them as it is accumulated.
  int moment_bytes = 4;         ///< Each of Adam's two moments takes them.
  /// Products add gradients of weights to those that are accumulated.
  bool gradient_fusion = false;
  Collectives collectives = Collectives::Ring;
  ContextMessages context = ContextMessages::Ring;

  /// Whether the layer of that place in its stage is recomputed.
  bool recomputes(std::int64_t place) const {
    return !recomputed_layers || place < *recomputed_layers;
  }
};

/// Training in which everything is kept.
Training without_recompute(Training training);

/// A model on hardware, divided over GPUs, at work. Refers to what it is made of.
struct LayerSetting {
  const Model& model;
  const Hardware& hardware;
  const Parallel& parallel;
  const Training& training;

  /// Tokens of a micro-batch on one GPU: in attention and dense matrices, and where sequence
  /// parallelism, if there is any, divides them over the tensor group too (Korthikanti et al.,
  /// arXiv 2205.05198).
  double tokens() const;
  double divided_tokens() const;
  /// That one GPU sends through experts: each goes to several.
  double expert_tokens() const;
  /// That a matrix of a layer multiplies; with balanced routing as many arrive at experts as are
  /// sent.
  double rows(Tokens which, const LayerKind& kind) const;
  /// Bytes of an element of what a quantized matrix product reads.
  double element_bytes() const { return training.precision == Precision::Fp8 ? 1 : 2; }
};

}  // namespace bubblescope

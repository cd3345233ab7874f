// What is trained, how, on what, and how many tokens of it one GPU has.
#pragma once

#include <cstdint>

#include "sim/transformer/hardware.h"
#include "sim/transformer/model.h"
#include "sim/transformer/parallel.h"
#include "sim/transformer/parameters.h"

namespace bubblescope {

/// What of a layer's activations is made again in the backward instead of being kept.
enum class Recompute : std::uint8_t {
  None,
  Selective,  ///< Norms, activation functions and the up-projections of latent attention
              ///< (DeepSeek-V3, section 3.2.3), and scores of attention that is not fused
              ///< (Korthikanti et al., arXiv 2205.05198, section 5).
  Full,       ///< All but the layer's input: the whole forward runs again, messages too.
};

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
  Recompute recompute = Recompute::None;
  PairOrder pair_order = PairOrder::DeepSeek;
  bool sequence_parallel = true;  ///< The tensor group divides tokens in norms and residuals too.
  bool tensor_overlap = false;    ///< Its collectives run beside the products that they feed.
  bool fused_attention = true;    ///< FlashAttention; else scores are written to memory.
  int zero = 1;            ///< ZeRO stage: 1 divides optimizer state over data parallelism, 2
                           ///< gradients too, 3 parameters too.
  int gradient_bytes = 4;  ///< Of one gradient as it is accumulated.
  int moment_bytes = 4;    ///< Of each of Adam's two moments.
  Collectives collectives = Collectives::Ring;
};

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

// What the phases of one layer compute, move and send, and how long that takes by a roofline: each
// kernel takes the longer of FLOPs / (peak × efficiency) and bytes / (bandwidth × efficiency), and
// a gap follows it (Williams et al., Roofline, 2009).
//
// Counted are matrix products, attention, what quantizes for fp8, norms, activation functions,
// rotary embeddings, residual additions, and the permutation and reduction of experts' tokens, each
// with what it reads and writes. Small reductions and index work are left out.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/hardware.h"
#include "sim/model.h"
#include "sim/parallel.h"
#include "sim/phases.h"

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
  Recompute recompute = Recompute::None;
  PairOrder pair_order = PairOrder::DeepSeek;
  bool fused_attention = true;  ///< FlashAttention; else scores are written to memory.
  int zero = 1;                 ///< ZeRO stage: 1 divides optimizer state over data parallelism, 2
                                ///< gradients too, 3 parameters too.
  int gradient_bytes = 4;       ///< Of one gradient as it is accumulated.
  int moment_bytes = 4;         ///< Of each of Adam's two moments.
  Collectives collectives = Collectives::Ring;
};

/// What decides how long work takes.
enum class Bound : std::uint8_t { Compute, Memory, NvLink, Network };
/// "compute", "memory", "nvlink", "network", in the order of the enumerators.
std::string_view to_string(Bound bound);

/// A phase of one layer, or the sum over layers.
struct PhaseCost {
  double flops = 0;
  double bytes = 0;    ///< Read from and written to the GPU's memory.
  double traffic = 0;  ///< Bytes that this GPU sends to others.
  std::array<double, 4> seconds_by_bound = {};
  double gaps = 0;  ///< Seconds between kernels.

  double seconds() const;
  /// That which takes most of the time.
  Bound bound() const;
  PhaseCost& operator+=(const PhaseCost& other);
  /// What of it takes longer than something beside it, which takes so many seconds.
  PhaseCost longer_than(double seconds) const;
};

/// The phases that layers may have, in DeepSeek's launch order.
enum class PhaseId : std::uint8_t {
  HeadB,
  HeadW,
  EmbeddingF,
  GatherB,  ///< ZeRO's, of parameters and gradients: what takes longer than computing beside it.
  RecomputeAttention,
  RecomputeTensorAttention,
  RecomputeContext,
  RecomputeDispatch,
  RecomputeMlp,
  RecomputeTensorMlp,
  RecomputeCombine,
  CombineB,
  GatherF,
  AttentionF,
  TensorAttentionF,
  ContextF,
  MlpB,
  TensorMlpB,
  DispatchF,
  DispatchB,
  MlpW,
  MlpF,
  TensorMlpF,
  AttentionB,
  TensorAttentionB,
  ContextB,
  CombineF,
  AttentionW,
  ReduceW,
  EmbeddingW,
  HeadF,
};
constexpr std::size_t kPhaseIds = static_cast<std::size_t>(PhaseId::HeadF) + 1;

/// One layer's, or the sum of several: [PhaseId].
using LayerCost = std::array<PhaseCost, kPhaseIds>;

/// What kinds of layers a model has.
enum class LayerKind : std::uint8_t { Dense, Experts };

/// A model on hardware, divided over GPUs, at work. Refers to what it is made of.
struct LayerSetting {
  const Model& model;
  const Hardware& hardware;
  const Parallel& parallel;
  const Training& training;

  /// Of a micro-batch, on one GPU: in attention and dense matrices, and where sequence parallelism
  /// divides them over the tensor group too (Korthikanti et al., arXiv 2205.05198).
  double tokens() const;
  double divided_tokens() const;
  /// That one GPU sends through experts, and the rows that its experts get, which are as many with
  /// balanced routing.
  double expert_tokens() const;
  double expert_rows() const;
  /// Of one GPU's keys and values, which are of whole heads: where the tensor group has more GPUs
  /// than there are heads of them, some have the same.
  double key_width() const;
  double value_width() const;
  /// Bytes of an element of what a quantized matrix product reads.
  double element_bytes() const { return training.precision == Precision::Fp8 ? 1 : 2; }
};

/// A matrix product of `rows` × `in` with `in` × `out`, as one GPU has it.
struct Linear {
  double rows = 0;
  double in = 0;
  double out = 0;
  double copies = 1;        ///< So many matrices of weights, over which the rows are divided.
  bool casts_input = true;  ///< Its input has to be quantized first; so its output's gradient.
  bool casts_gradient = true;
  bool is_up_projection = false;  ///< Of latent attention.
};

/// The matrix products of attention, of an MLP so wide, of the routed experts. Router and head are
/// apart: they stay in bf16.
std::vector<Linear> attention_linears(const LayerSetting& setting);
std::vector<Linear> mlp_linears(const LayerSetting& setting, std::int64_t width);
std::vector<Linear> expert_linears(const LayerSetting& setting);

LayerCost layer_cost(const LayerSetting& setting, LayerKind kind);
/// What the first and the last stage have beside their layers.
LayerCost embedding_cost(const LayerSetting& setting);
LayerCost head_cost(const LayerSetting& setting);
/// What a multi-token prediction layer has beside a layer and a head: the projection of two norms.
LayerCost prediction_cost(const LayerSetting& setting);

}  // namespace bubblescope

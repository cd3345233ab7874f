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
#include <vector>

#include "sim/transformer/layer_setting.h"
#include "sim/transformer/phase_cost.h"

namespace bubblescope {

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

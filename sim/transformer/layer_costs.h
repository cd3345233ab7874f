// What the phases of one layer compute, move and send, and how long that takes.
//
// Counted are matrix products, attention, what quantizes for fp8, norms, activation functions,
// rotary embeddings, residual additions, and the permutation and reduction of experts' tokens, each
// with what it reads and writes. Small reductions and index work are left out.
#pragma once

#include <array>
#include <cstdint>

#include "sim/transformer/layer_setting.h"
#include "sim/transformer/phase_cost.h"

namespace bubblescope {

/// The phases that layers may have, in DeepSeek's launch order.
enum class PhaseId : std::uint8_t {
  HeadB,
  HeadW,
  EmbeddingF,
  GatherB,  ///< ZeRO's, of parameters and gradients: what takes longer than computing beside it.
  RecomputeMixer,
  RecomputeTensorMixer,
  RecomputeContext,
  RecomputeDispatch,
  RecomputeMlp,
  RecomputeTensorMlp,
  RecomputeCombine,
  CombineB,
  GatherF,
  MixerF,
  TensorMixerF,
  ContextF,
  MlpB,
  TensorMlpB,
  DispatchF,
  DispatchB,
  MlpW,
  MlpF,
  TensorMlpF,
  MixerB,
  TensorMixerB,
  ContextB,
  CombineF,
  MixerW,
  ReduceW,
  EmbeddingW,
  HeadF,
};
constexpr std::size_t kPhaseIds = static_cast<std::size_t>(PhaseId::HeadF) + 1;

/// One layer's, or the sum of several: [PhaseId].
using LayerCost = std::array<PhaseCost, kPhaseIds>;

LayerCost layer_cost(const LayerSetting& setting, const LayerKind& kind);
/// What the first and the last stage have beside their layers.
LayerCost embedding_cost(const LayerSetting& setting);
LayerCost head_cost(const LayerSetting& setting);
/// What a multi-token prediction layer has beside a layer and a head: the projection of two norms.
LayerCost prediction_cost(const LayerSetting& setting);

}  // namespace bubblescope

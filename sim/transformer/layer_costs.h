// The phases of one layer: their work and messages, and how long these take.
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
  HostF,  ///< The host needs so much longer to launch kernels than the GPU to run them.
  HostB,
};
constexpr std::size_t kPhaseIds = static_cast<std::size_t>(PhaseId::HostB) + 1;

/// One layer's, or the sum of several: [PhaseId].
using LayerCost = std::array<PhaseCost, kPhaseIds>;

LayerCost layer_cost(const LayerSetting& setting, const LayerKind& kind);
/// The first and the last stage have these beside their layers.
LayerCost embedding_cost(const LayerSetting& setting);
LayerCost head_cost(const LayerSetting& setting);
/// A module of multi-token prediction has a projection of two norms beside a layer and a head.
LayerCost prediction_cost(const LayerSetting& setting);

}  // namespace bubblescope

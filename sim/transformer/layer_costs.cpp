#include "sim/transformer/layer_costs.h"

#include <algorithm>
#include <utility>

#include "sim/transformer/analytic_units.h"
#include "sim/transformer/feed_forward_costs.h"
#include "sim/transformer/mixer_costs.h"

namespace bubblescope {
namespace {

PhaseCost& at(LayerCost& cost, PhaseId id) {
  return cost[static_cast<std::size_t>(id)];
}

/// So much of a tensor collective is hidden where it runs beside the products that it feeds. Fitted
/// to NVIDIA's published runs (docs/analytic-costs.md).
constexpr double kHidden = 0.79;

/// The phases of a layer, each made of its kernels.
class LayerPhasesOf {
 public:
  LayerPhasesOf(const LayerSetting& setting, const LayerKind& kind)
      : setting_(setting), kind_(kind), feed_forward_(setting, kind) {}

  LayerCost cost() const {
    LayerCost result;
    at(result, PhaseId::MixerF) = mixer_forward_phase();
    at(result, PhaseId::MixerB) = mixer_input_phase();
    at(result, PhaseId::MixerW) = mixer_weight_phase();
    const auto phase = [&](PhaseId id, void (FeedForward::*work)(Kernels&) const) {
      Kernels kernels(setting_, kind_);
      (feed_forward_.*work)(kernels);
      at(result, id) = kernels.take();
    };
    if (kind_.has_feed_forward()) {
      phase(PhaseId::MlpF, &FeedForward::forward);
      phase(PhaseId::MlpB, &FeedForward::input_gradient);
      phase(PhaseId::MlpW, &FeedForward::weight_gradient);
    }
    const Parallel& parallel = setting_.parallel;
    if (parallel.tensor > 1 && !kind_.mixers.empty())
      at(result, PhaseId::TensorMixerF) = at(result, PhaseId::TensorMixerB) = tensor_collectives();
    if (parallel.tensor > 1 && feed_forward_.gathers())
      at(result, PhaseId::TensorMlpF) = at(result, PhaseId::TensorMlpB) = tensor_collectives();
    if (parallel.context > 1) {
      at(result, PhaseId::ContextF) = context_messages(setting_, kind_, false);
      at(result, PhaseId::ContextB) = context_messages(setting_, kind_, true);
    }
    if (kind_.experts && parallel.expert > 1) {
      phase(PhaseId::DispatchF, &FeedForward::exchange_quantized);
      phase(PhaseId::CombineB, &FeedForward::exchange_quantized);
      phase(PhaseId::CombineF, &FeedForward::exchange_whole);
      phase(PhaseId::DispatchB, &FeedForward::exchange_whole);
    }
    run_again(result);
    return result;
  }

 private:
  void run_again(LayerCost& cost) const {
    const Recompute& recompute = setting_.training.recompute;
    if (recompute.layer)
      for (const auto& [again, forward] : {std::pair(PhaseId::RecomputeMixer, PhaseId::MixerF),
                                           {PhaseId::RecomputeTensorMixer, PhaseId::TensorMixerF},
                                           {PhaseId::RecomputeContext, PhaseId::ContextF}})
        at(cost, again) = at(cost, forward);
    if (recompute.layer || (kind_.experts ? recompute.experts : recompute.mlp))
      for (const auto& [again, forward] :
           {std::pair(PhaseId::RecomputeDispatch, PhaseId::DispatchF),
            {PhaseId::RecomputeMlp, PhaseId::MlpF},
            {PhaseId::RecomputeTensorMlp, PhaseId::TensorMlpF},
            {PhaseId::RecomputeCombine, PhaseId::CombineF}})
        at(cost, again) = at(cost, forward);
  }

  double hidden_values() const { return setting_.divided_tokens() * real(setting_.model.hidden); }

  PhaseCost mixer_forward_phase() const {
    Kernels kernels(setting_, kind_);
    kernels.norms(kind_.mixer_norms());
    for (const Mixer& mixer : kind_.mixers)
      mixer_forward(kernels, mixer);
    if (!kind_.mixers.empty())
      kernels.sum(hidden_values());
    if (kind_.experts)
      feed_forward_.route(kernels);
    return kernels.take();
  }

  PhaseCost mixer_input_phase() const {
    Kernels kernels(setting_, kind_);
    if (kind_.experts)
      feed_forward_.route_input_gradient(kernels);
    if (setting_.training.recompute.norms) {
      kernels.norms(kind_.mixer_norms());
      if (kind_.experts)
        kernels.norms(kind_.feed_forward_norms());
    }
    for (const Mixer& mixer : kind_.mixers)
      make_mixer_again(kernels, mixer);
    for (const Mixer& mixer : kind_.mixers)
      mixer_input_gradient(kernels, mixer);
    kernels.norm_gradients(kind_.mixer_norms());
    if (!kind_.mixers.empty())
      kernels.sum(hidden_values());
    return kernels.take();
  }

  PhaseCost mixer_weight_phase() const {
    Kernels kernels(setting_, kind_);
    for (const Mixer& mixer : kind_.mixers)
      mixer_weight_gradient(kernels, mixer);
    if (kind_.experts)
      feed_forward_.route_weight_gradient(kernels);
    return kernels.take();
  }

  /// Sequence parallelism: an all-gather before and a reduce-scatter behind, forward and backward
  /// (Korthikanti et al., arXiv 2205.05198, figure 5). Without it, an all-reduce, which is both.
  PhaseCost tensor_collectives() const {
    Kernels kernels(setting_, kind_);
    kernels.tensor_collectives(2, kHalf * setting_.tokens() * real(setting_.model.hidden));
    const PhaseCost cost = kernels.take();
    return setting_.training.tensor_overlap ? cost.longer_than(kHidden * cost.seconds()) : cost;
  }

  const LayerSetting& setting_;
  const LayerKind& kind_;
  FeedForward feed_forward_;
};

/// Bytes that the loss reads and writes for each logit, forward and backward. Unfused: fitted to
/// runs on A100 (docs/accuracy.md).
double loss_bytes(const Training& training) {
  constexpr double kFused = 16;
  constexpr double kUnfused = 30;
  return training.loss == LossKernels::Fused ? kFused : kUnfused;
}

/// Where no kernel is of a layer.
const LayerKind kNoLayer = {};

}  // namespace

LayerCost layer_cost(const LayerSetting& setting, const LayerKind& kind) {
  return LayerPhasesOf(setting, kind).cost();
}

LayerCost embedding_cost(const LayerSetting& setting) {
  const double values = setting.divided_tokens() * real(setting.model.hidden);
  LayerCost cost;
  Kernels forward(setting, kNoLayer);
  forward.moves(2 * kHalf * values);
  at(cost, PhaseId::EmbeddingF) = forward.take();
  Kernels backward(setting, kNoLayer);
  backward.moves((kHalf + 2 * kFull) * values);
  at(cost, PhaseId::EmbeddingW) = backward.take();
  return cost;
}

LayerCost head_cost(const LayerSetting& setting) {
  const double tokens = setting.tokens();
  const double h = real(setting.model.hidden);
  const double columns = real(setting.model.vocabulary) / real(setting.parallel.tensor);
  const double logits = tokens * columns;
  const bool is_gathered = setting.training.loss == LossKernels::Gathered;
  const double lost = is_gathered ? tokens * real(setting.model.vocabulary) : logits;
  LayerCost cost;
  Kernels forward(setting, kNoLayer);
  forward.norm(setting.divided_tokens() * h);
  forward.half_product(tokens, h, columns, kHalf * (tokens * h + h * columns + logits));
  if (is_gathered)
    forward.tensor_collectives(1, kHalf * lost);
  forward.moves((loss_bytes(setting.training) - kHalf - kFull) * lost);
  at(cost, PhaseId::HeadF) = forward.take();
  Kernels input(setting, kNoLayer);
  input.moves((kFull + kHalf) * lost);
  input.half_product(tokens, columns, h, kHalf * (tokens * h + h * columns + logits));
  input.norm_gradient(setting.divided_tokens() * h);
  at(cost, PhaseId::HeadB) = input.take();
  Kernels weights(setting, kNoLayer);
  weights.half_weight_gradient(tokens, h, columns);
  at(cost, PhaseId::HeadW) = weights.take();
  return cost;
}

LayerCost prediction_cost(const LayerSetting& setting) {
  const double h = real(setting.model.hidden);
  const double values = setting.divided_tokens() * h;
  const Linear projection = {.in = 2 * h, .out = h, .tokens = Tokens::Divided};
  LayerCost cost;
  Kernels forward(setting, kNoLayer);
  forward.norm(2 * values);
  forward.forward(projection);
  at(cost, PhaseId::MixerF) = forward.take();
  Kernels input(setting, kNoLayer);
  input.input_gradient(projection);
  input.norm_gradient(2 * values);
  at(cost, PhaseId::MixerB) = input.take();
  Kernels weights(setting, kNoLayer);
  weights.weight_gradient(projection);
  at(cost, PhaseId::MixerW) = weights.take();
  if (setting.training.recompute.layer)
    at(cost, PhaseId::RecomputeMixer) = at(cost, PhaseId::MixerF);
  return cost;
}

}  // namespace bubblescope

#include "sim/transformer/stage_memory.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/transformer/analytic_units.h"
#include "sim/transformer/mixer_costs.h"
#include "sim/transformer/stage_parameters.h"

namespace bubblescope {
namespace {

/// A process holds so much more than tensors.
constexpr double kAllocator = 1.05;
constexpr double kContext = 3e9;

/// Bytes of the inputs of matrix products and of the gradients of their outputs.
double for_weights(const LayerSetting& setting, const LayerKind& kind, const Linears& linears) {
  double bytes = 0;
  for (const Linear& linear : linears)
    bytes += setting.rows(linear.tokens, kind) *
             (setting.element_bytes() * linear.in + kHalf * linear.out);
  return bytes;
}

/// Inputs of so many norms; what the first gives, where it is not made again; dropout's mask.
double norms_kept(const LayerSetting& setting, std::int64_t norms) {
  const double hidden = setting.divided_tokens() * real(setting.model.hidden);
  const bool keeps_steps = !setting.training.fused_norms && !setting.training.recompute.norms;
  const double each = keeps_steps ? kHalf + 2 * kFull : kHalf;
  double bytes = each * real(norms) * hidden + (setting.model.dropout ? hidden : 0);
  if (norms > 0 && !setting.training.recompute.norms)
    bytes += setting.element_bytes() * hidden;
  return bytes;
}

/// What an MLP, or experts, keep beside the first product's input.
double inner_kept(const LayerSetting& setting, const LayerKind& kind, const Linears& linears) {
  const double rows = setting.rows(linears[0].tokens, kind);
  return kHalf * rows * linears[0].out + (setting.training.recompute.activation
                                              ? 0
                                              : setting.element_bytes() * rows * linears[1].in);
}

double experts_kept(const LayerSetting& setting, const LayerKind& kind) {
  const Model& model = setting.model;
  const Experts& experts = *kind.experts;
  const Linears linears = expert_linears(model, experts, setting.parallel);
  double bytes = inner_kept(setting, kind, linears);
  if (experts.shared_width > 0)
    bytes += inner_kept(setting, kind, mlp_linears(model, experts.shared(), setting.parallel));
  bytes += setting.element_bytes() * setting.rows(Tokens::Routed, kind) * linears[0].in;  // as sent
  bytes += kFull * setting.divided_tokens() * real(experts.count);  // the router's scores
  return bytes;
}

/// All matrices of a layer but the router's.
std::vector<Linears> linears_of(const LayerSetting& setting, const LayerKind& kind) {
  const Model& model = setting.model;
  std::vector<Linears> result;
  for (const Mixer& mixer : kind.mixers)
    result.push_back(mixer_linears(setting, mixer));
  if (kind.mlp)
    result.push_back(mlp_linears(model, *kind.mlp, setting.parallel));
  if (!kind.experts)
    return result;
  result.push_back(expert_linears(model, *kind.experts, setting.parallel));
  result.push_back(latent_expert_linears(model, *kind.experts));
  if (kind.experts->shared_width > 0)
    result.push_back(mlp_linears(model, kind.experts->shared(), setting.parallel));
  return result;
}

/// Calls `use` with the kind of each layer and each module of multi-token prediction of a stage,
/// and what it keeps.
template <typename Use>
void for_each_layer(const LayerSetting& setting, const StageLayers& held, const Use& use) {
  const Model& model = setting.model;
  const Training whole = without_recompute(setting.training);
  const LayerSetting unreduced = {model, setting.hardware, setting.parallel, whole};
  const LayerKind* before = nullptr;  // most layers are as the one before
  bool recomputed = false;
  LayerActivation activation;
  for (std::int64_t i = 0; i < held.layers; ++i) {
    const LayerKind& kind = model.layer(held.first + i);
    const bool again = setting.training.recomputes(i);
    if (&kind != before || again != recomputed)
      activation = layer_activation(again ? setting : unreduced, kind);
    before = &kind;
    recomputed = again;
    use(kind, activation);
  }
  for (std::int64_t i = 0; i < held.predictions; ++i)
    use(model.prediction(i),
        layer_activation(setting.training.recomputed_layers ? unreduced : setting,
                         model.prediction(i)));
}

Bytes rounded(double bytes) {
  constexpr double kMost = 1e18;
  if (!(bytes <= kMost))
    throw Error(fmt::format("a stage would hold {:.3g} bytes", bytes));
  return std::llround(bytes);
}

/// What one layer has while it computes: whole parameters and gradients that ZeRO divides, and of
/// activations what is made again.
double largest_at_work(const LayerSetting& setting, const StageLayers& held) {
  const Training& training = setting.training;
  const Parallel& parallel = setting.parallel;
  const double each =
      (training.zero >= 3 ? kHalf : 0) + (training.zero >= 2 ? real(training.gradient_bytes) : 0);
  double divided = 0;
  if (each > 0)
    for (const Parameters& layer : layer_parameters(setting, held))
      divided = std::max(divided, each * ((parallel.replicas() > 1 ? layer.plain : 0) +
                                          (parallel.expert_replicas() > 1 ? layer.expert : 0)));
  if (training.recompute == kRecomputeNone)
    return divided;
  const Training whole = without_recompute(training);
  const LayerSetting unreduced = {setting.model, setting.hardware, parallel, whole};
  double again = 0;
  const LayerKind* before = nullptr;
  double whole_kept = 0;
  for_each_layer(setting, held, [&](const LayerKind& kind, const LayerActivation& activation) {
    if (&kind != before)
      whole_kept = layer_activation(unreduced, kind).kept;
    before = &kind;
    again = std::max(again, whole_kept - activation.kept);
  });
  return divided + again;
}

/// Where products add the gradients of weights themselves, autograd still wants one of each weight.
/// Transformer Engine hands it placeholders in bf16, of which one a shape stays (get_dummy_wgrad);
/// Megatron-Core makes the head's anew, when the stage holds the most.
double placeholders(const LayerSetting& setting, const StageLayers& held, bool has_head) {
  if (!setting.training.gradient_fusion)
    return 0;
  std::set<std::pair<double, double>> shapes;
  for_each_layer(setting, held, [&](const LayerKind& kind, const LayerActivation&) {
    for (const Linears& linears : linears_of(setting, kind))
      for (const Linear& linear : linears)
        shapes.insert({linear.in, linear.out});
  });
  double weights = 0;
  for (const auto& [in, out] : shapes)
    weights += in * out;
  const Model& model = setting.model;
  if (has_head)
    weights += real(model.vocabulary) * real(model.hidden) / real(setting.parallel.tensor);
  return kHalf * weights;
}

/// The loss has this while it computes, beside the logits that are kept. Gathered are logits in
/// bf16; those in fp32, their softmax and its gradient are each made anew, and so are gradients.
double loss_at_work(const LayerSetting& setting) {
  const double logits = setting.tokens() * real(setting.model.vocabulary);
  switch (setting.training.loss) {
    case LossKernels::Fused:
      return 0;
    case LossKernels::Unfused:
      return (kHalf + 2 * kFull) * logits / real(setting.parallel.tensor);
    case LossKernels::Gathered:
      break;
  }
  return (3 * kHalf + 4 * kFull) * logits;
}

}  // namespace

LayerActivation layer_activation(const LayerSetting& setting, const LayerKind& kind) {
  LayerActivation result;
  if (!kind.mixers.empty())
    result.kept += norms_kept(setting, kind.mixer_norms());
  for (const Mixer& mixer : kind.mixers)
    result.kept += mixer_kept(setting, mixer);
  if (kind.has_feed_forward())
    result.kept += norms_kept(setting, kind.feed_forward_norms());
  if (kind.is_parallel && kind.feed_forward_norms() > 0)  // whose input is the mixer's
    result.kept -= kHalf * setting.divided_tokens() * real(setting.model.hidden);
  const Recompute& again = setting.training.recompute;
  if (kind.mlp && !again.mlp)
    result.kept +=
        inner_kept(setting, kind, mlp_linears(setting.model, *kind.mlp, setting.parallel));
  if (kind.experts && !again.experts)
    result.kept += experts_kept(setting, kind);
  for (const Linears& linears : linears_of(setting, kind))
    result.for_weights += for_weights(setting, kind, linears);
  if (again.layer)
    result.kept = kHalf * setting.divided_tokens() * real(setting.model.hidden);
  return result;
}

Bytes device_memory(Bytes tensors) {
  return rounded(kAllocator * static_cast<double>(tensors) + kContext);
}

Bytes tensor_memory(Bytes device) {
  auto tensors =
      static_cast<Bytes>(std::floor((static_cast<double>(device) - kContext) / kAllocator));
  while (device_memory(tensors + 1) <= device)
    ++tensors;
  while (device_memory(tensors) > device)
    --tensors;
  return tensors;
}

Bytes message_bytes(const LayerSetting& setting) {
  return rounded(kHalf * setting.divided_tokens() * real(setting.model.hidden));
}

StageMemory stage_memory(const LayerSetting& setting, const StageLayout& layout,
                         std::size_t stage) {
  const Model& model = setting.model;
  const Training& training = setting.training;
  const StageLayers& held = layout[stage];
  const Parameters parameters = stage_parameters(setting, held);
  const double replicas = real(setting.parallel.replicas());
  const double expert_replicas = real(setting.parallel.expert_replicas());
  const auto bytes = [&](double each, bool is_divided) {
    return rounded(each * (parameters.plain / (is_divided ? replicas : 1) +
                           parameters.expert / (is_divided ? expert_replicas : 1)));
  };
  StageMemory memory;
  memory.parameters = bytes(kHalf, training.zero >= 3);
  memory.gradients = bytes(training.gradient_bytes, training.zero >= 2);
  memory.optimizer = bytes(kFull + 2 * training.moment_bytes, training.zero >= 1);
  double kept = 0;
  double needed = 0;
  for_each_layer(setting, held, [&](const LayerKind&, const LayerActivation& activation) {
    kept += activation.kept;
    needed += activation.for_weights;
  });
  const double heads = real(held.predictions) + (held.head ? 1 : 0);
  const double hidden = setting.divided_tokens() * real(model.hidden);
  const double logits = setting.tokens() * real(model.vocabulary) / real(setting.parallel.tensor);
  kept +=
      heads * (kHalf * 2 * hidden + (training.loss == LossKernels::Fused ? kHalf : kFull) * logits);
  needed += heads * (kHalf * hidden + kHalf * logits);
  if (held.embedding && model.dropout)
    kept += hidden;
  const double messages = (stage > 0 ? 1 : 0) + (stage + 1 < layout.size() ? 1 : 0);
  memory.buffers =
      rounded(messages * static_cast<double>(message_bytes(setting)) +
              placeholders(setting, held, heads > 0) +
              std::max(heads > 0 ? loss_at_work(setting) : 0.0, largest_at_work(setting, held)));
  memory.activation = rounded(kept);
  memory.activation_after_input_grad = rounded(needed);
  return memory;
}

}  // namespace bubblescope

#include "sim/transformer/stage_memory.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/transformer/analytic_units.h"
#include "sim/transformer/stage_parameters.h"

namespace bubblescope {
namespace {

LayerKind kind_of(const Model& model, std::int64_t layer) {
  return model.has_experts(layer) ? LayerKind::Experts : LayerKind::Dense;
}

/// Bytes of the inputs of matrix products and of the gradients of their outputs. Of products that
/// share an input it is counted once.
double for_weights(const LayerSetting& setting, const std::vector<Linear>& linears) {
  double bytes = 0;
  for (const Linear& linear : linears)
    bytes += setting.element_bytes() * linear.rows * linear.in + kHalf * linear.rows * linear.out;
  return bytes;
}

/// What attention keeps.
double attention_kept(const LayerSetting& setting) {
  const Model& model = setting.model;
  const Training& training = setting.training;
  const bool is_selective = training.recompute == Recompute::Selective;
  const double share = setting.tokens() / real(setting.parallel.tensor);
  const double hidden = setting.divided_tokens() * real(model.hidden);
  double bytes = kHalf * hidden;  // the norm's input
  if (!is_selective)
    bytes += setting.element_bytes() * hidden;
  if (model.latent) {
    const double compressed =
        setting.divided_tokens() * real(model.latent->query_rank + model.latent->key_value_rank);
    bytes += kHalf * (compressed + setting.divided_tokens() * real(model.latent->rope_dim));
    if (!is_selective)
      bytes += setting.element_bytes() * compressed;
  }
  if (!model.latent || !is_selective)
    bytes += kHalf * (share * real(model.query_width()) +
                      setting.tokens() * (setting.key_width() + setting.value_width()));
  bytes += kHalf * share * real(model.output_width());
  const double scores = share * real(training.sequence) * real(model.heads);
  if (training.fused_attention)
    bytes += kFull * share * real(model.heads);  // the softmax's sums
  else if (!is_selective)
    bytes += (model.dropout ? 5 : 2) * scores;
  return bytes + (model.dropout ? hidden : 0);
}

/// What an MLP, or experts, keep beside the first product's input.
double inner_kept(const LayerSetting& setting, const std::vector<Linear>& linears) {
  const bool is_selective = setting.training.recompute == Recompute::Selective;
  const double first = kHalf * linears[0].rows * linears[0].out;
  return first + (is_selective ? 0 : setting.element_bytes() * linears[1].rows * linears[1].in);
}

double mlp_kept(const LayerSetting& setting, LayerKind kind) {
  const Model& model = setting.model;
  const bool is_selective = setting.training.recompute == Recompute::Selective;
  const double hidden = setting.divided_tokens() * real(model.hidden);
  double bytes = kHalf * hidden + (model.dropout ? hidden : 0);  // the norm's input
  if (!is_selective)
    bytes += setting.element_bytes() * hidden;
  if (kind == LayerKind::Dense)
    return bytes + inner_kept(setting, mlp_linears(setting, model.mlp_width));
  const Experts& experts = *model.experts;
  if (experts.shared_width > 0)
    bytes += inner_kept(setting, mlp_linears(setting, experts.shared_width));
  const auto linears = expert_linears(setting);
  bytes += setting.element_bytes() * linears[0].rows * linears[0].in;  // as dispatched
  bytes += kFull * setting.divided_tokens() * real(experts.count);     // the router's scores
  return bytes + inner_kept(setting, linears);
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
  for (const Parameters& layer : layer_parameters(setting, held))
    divided = std::max(divided, each * ((parallel.replicas() > 1 ? layer.plain : 0) +
                                        (parallel.expert_replicas() > 1 ? layer.expert : 0)));
  Training whole = training;
  whole.recompute = Recompute::None;
  const LayerSetting unreduced = {setting.model, setting.hardware, parallel, whole};
  double again = 0;
  const auto remake = [&](LayerKind kind) {
    again = std::max(again,
                     layer_activation(unreduced, kind).kept - layer_activation(setting, kind).kept);
  };
  for (std::int64_t i = 0; i < held.layers; ++i)
    remake(kind_of(setting.model, held.first + i));
  for (std::int64_t i = 0; i < held.predictions; ++i)
    remake(kind_of(setting.model, setting.model.layers));
  return divided + again;
}

}  // namespace

LayerActivation layer_activation(const LayerSetting& setting, LayerKind kind) {
  const Model& model = setting.model;
  LayerActivation result;
  result.kept = attention_kept(setting) + mlp_kept(setting, kind);
  result.for_weights = for_weights(setting, attention_linears(setting));
  if (kind == LayerKind::Dense)
    result.for_weights += for_weights(setting, mlp_linears(setting, model.mlp_width));
  else
    result.for_weights += for_weights(setting, expert_linears(setting));
  if (kind == LayerKind::Experts && model.experts->shared_width > 0)
    result.for_weights += for_weights(setting, mlp_linears(setting, model.experts->shared_width));
  if (setting.training.recompute == Recompute::Full)
    result.kept = kHalf * setting.divided_tokens() * real(model.hidden);
  return result;
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
  double for_weights = 0;
  const auto add = [&](LayerKind kind) {
    const LayerActivation activation = layer_activation(setting, kind);
    kept += activation.kept;
    for_weights += activation.for_weights;
  };
  for (std::int64_t i = 0; i < held.layers; ++i)
    add(kind_of(model, held.first + i));
  for (std::int64_t i = 0; i < held.predictions; ++i)
    add(kind_of(model, model.layers));
  const double heads = real(held.predictions) + (held.head ? 1 : 0);
  const double hidden = setting.divided_tokens() * real(model.hidden);
  const double logits = setting.tokens() * real(model.vocabulary) / real(setting.parallel.tensor);
  kept += heads * (kHalf * 2 * hidden + kFull * logits);
  for_weights += heads * (kHalf * hidden + kHalf * logits);
  if (held.embedding && model.dropout)
    kept += hidden;
  const double messages = (stage > 0 ? 1 : 0) + (stage + 1 < layout.size() ? 1 : 0);
  memory.buffers = rounded(messages * static_cast<double>(message_bytes(setting)) +
                           largest_at_work(setting, held));
  memory.activation = rounded(kept);
  memory.activation_after_input_grad = rounded(for_weights);
  return memory;
}

}  // namespace bubblescope

#include "sim/transformer/stage_parameters.h"

#include "sim/transformer/analytic_units.h"

namespace bubblescope {
namespace {

double weights(const std::vector<Linear>& linears) {
  double sum = 0;
  for (const Linear& linear : linears)
    sum += linear.copies * linear.in * linear.out;
  return sum;
}

Parameters one_layer(const LayerSetting& setting, bool has_experts) {
  const Model& model = setting.model;
  Parameters result{.plain = weights(attention_linears(setting)) + real(norm_parameters(model))};
  if (!has_experts) {
    result.plain += weights(mlp_linears(setting, model.mlp_width));
    return result;
  }
  result.plain += real(model.hidden * model.experts->count);
  if (model.experts->shared_width > 0)
    result.plain += weights(mlp_linears(setting, model.experts->shared_width));
  result.expert = weights(expert_linears(setting));
  return result;
}

}  // namespace

Parameters& Parameters::operator+=(const Parameters& other) {
  plain += other.plain;
  expert += other.expert;
  return *this;
}

std::vector<Parameters> layer_parameters(const LayerSetting& setting, const StageLayers& stage) {
  const Model& model = setting.model;
  std::vector<Parameters> result;
  for (std::int64_t i = 0; i < stage.layers; ++i)
    result.push_back(one_layer(setting, model.has_experts(stage.first + i)));
  for (std::int64_t i = 0; i < stage.predictions; ++i) {
    result.push_back(one_layer(setting, model.has_experts(model.layers)));
    result.back().plain += real(2 * model.hidden * model.hidden);
  }
  if (result.empty())
    result.emplace_back();
  const double matrix = real(model.vocabulary * model.hidden) / real(setting.parallel.tensor);
  // Multi-token prediction has the embedding and the head too, and a tied head the embedding.
  if (stage.embedding || stage.predictions > 0)
    result.front().plain += matrix + real(model.learned_positions * model.hidden);
  const bool is_there = model.tied_embeddings && stage.embedding;
  if ((stage.head || stage.predictions > 0) && !is_there)
    result.back().plain += matrix;
  return result;
}

Parameters stage_parameters(const LayerSetting& setting, const StageLayers& stage) {
  Parameters sum;
  for (const Parameters& layer : layer_parameters(setting, stage))
    sum += layer;
  return sum;
}

}  // namespace bubblescope

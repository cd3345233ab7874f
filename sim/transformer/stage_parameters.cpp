#include "sim/transformer/stage_parameters.h"

namespace bubblescope {

std::vector<Parameters> layer_parameters(const LayerSetting& setting, const StageLayers& stage) {
  const Model& model = setting.model;
  const Parallel& parallel = setting.parallel;
  std::vector<Parameters> result;
  const LayerKind* before = nullptr;  // most layers are as the one before
  for (std::int64_t i = 0; i < stage.layers; ++i) {
    const LayerKind& kind = model.layer(stage.first + i);
    result.push_back(&kind == before ? result.back() : layer_parameters(model, kind, parallel));
    before = &kind;
  }
  for (std::int64_t i = 0; i < stage.predictions; ++i) {
    result.push_back(layer_parameters(model, model.prediction(i), parallel));
    result.back().plain += prediction_parameters(model);
  }
  if (result.empty())
    result.emplace_back();
  // Multi-token prediction has the embedding and the head too, and a tied head the embedding.
  if (stage.embedding || stage.predictions > 0)
    result.front().plain += embedding_parameters(model, parallel);
  const bool is_there = model.tied_embeddings && stage.embedding;
  if ((stage.head || stage.predictions > 0) && !is_there)
    result.back().plain += head_parameters(model, parallel);
  return result;
}

Parameters stage_parameters(const LayerSetting& setting, const StageLayers& stage) {
  Parameters sum;
  for (const Parameters& layer : layer_parameters(setting, stage))
    sum += layer;
  return sum;
}

}  // namespace bubblescope

#include "sim/transformer/model.h"

namespace bubblescope {
namespace {

/// A norm has a weight, and a bias where the model has biases.
std::int64_t norm(const Model& model, std::int64_t width) {
  return model.mlp_bias ? 2 * width : width;
}

}  // namespace

std::int64_t attention_parameters(const Model& model) {
  const std::int64_t h = model.hidden;
  const std::int64_t output = model.output_width() * h;
  if (model.latent) {
    const LatentAttention& latent = *model.latent;
    const std::int64_t queries =
        latent.query_rank == 0
            ? h * model.query_width()
            : h * latent.query_rank + latent.query_rank + latent.query_rank * model.query_width();
    const std::int64_t compressed =
        h * (latent.key_value_rank + latent.rope_dim) + latent.key_value_rank;
    const std::int64_t keys_values =
        latent.key_value_rank * model.heads * (latent.nope_dim + model.value_dim);
    return queries + compressed + keys_values + output;
  }
  const std::int64_t columns = model.query_width() + model.key_width() + model.value_width();
  const std::int64_t biases = model.attention_bias ? columns + h : 0;
  const std::int64_t norms = model.query_key_norm ? 2 * model.key_dim : 0;
  return h * columns + output + biases + norms;
}

std::int64_t mlp_parameters(const Model& model, std::int64_t width) {
  const std::int64_t biases = model.mlp_bias ? model.widened(width) + model.hidden : 0;
  return model.hidden * (model.widened(width) + width) + biases;
}

std::int64_t norm_parameters(const Model& model) {
  return 2 * norm(model, model.hidden);
}

std::int64_t expert_parameters(const Model& model) {
  return model.experts ? model.experts->count * mlp_parameters(model, model.experts->width) : 0;
}

std::int64_t shared_expert_parameters(const Model& model) {
  if (!model.experts)
    return 0;
  const std::int64_t router = model.hidden * model.experts->count;
  const std::int64_t shared = model.experts->shared_width;
  return router + (shared > 0 ? mlp_parameters(model, shared) : 0);
}

std::int64_t layer_parameters(const Model& model, bool has_experts) {
  const std::int64_t rest = has_experts ? expert_parameters(model) + shared_expert_parameters(model)
                                        : mlp_parameters(model, model.mlp_width);
  return attention_parameters(model) + norm_parameters(model) + rest;
}

std::int64_t embedding_parameters(const Model& model) {
  return (model.vocabulary + model.learned_positions) * model.hidden;
}

std::int64_t head_parameters(const Model& model) {
  return norm(model, model.hidden) + (model.tied_embeddings ? 0 : model.vocabulary * model.hidden);
}

std::int64_t prediction_parameters(const Model& model) {
  const std::int64_t projection = 2 * model.hidden * model.hidden;
  return projection + 3 * norm(model, model.hidden) +
         layer_parameters(model, model.has_experts(model.layers));
}

std::int64_t total_parameters(const Model& model) {
  std::int64_t sum = embedding_parameters(model) + head_parameters(model);
  for (std::int64_t layer = 0; layer < model.layers; ++layer)
    sum += layer_parameters(model, model.has_experts(layer));
  return sum;
}

std::int64_t activated_parameters(const Model& model) {
  std::int64_t sum = head_parameters(model);
  if (model.tied_embeddings)
    sum += model.vocabulary * model.hidden;
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    sum += layer_parameters(model, model.has_experts(layer));
    if (model.has_experts(layer)) {
      const Experts& experts = *model.experts;
      sum -= (experts.count - experts.per_token) * mlp_parameters(model, experts.width);
    }
  }
  return sum;
}

}  // namespace bubblescope

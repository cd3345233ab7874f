#include "sim/transformer/parameters.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "sim/transformer/analytic_units.h"

namespace bubblescope {
namespace {

double weights(const Linears& linears) {
  double sum = 0;
  for (const Linear& linear : linears)
    sum += linear.weights();
  return sum;
}

double norm(const Model& model) {
  return real(model.norm_bias ? 2 * model.hidden : model.hidden);
}

double vectors(const Model& model, const Attention& attention) {
  std::int64_t sum = attention.sinks ? attention.heads : 0;
  if (attention.bias && attention.latent)  // what is compressed has some
    sum += attention.latent->query_rank + attention.latent->key_value_rank +
           attention.latent->rope_dim;
  if (attention.bias && !attention.latent)
    sum += attention.query_width() + attention.key_width() + attention.value_width();
  if (attention.output_bias)
    sum += model.hidden;
  if (attention.norm == Attention::Norm::Head)
    sum += 2 * attention.key_dim;
  if (attention.norm == Attention::Norm::Whole)
    sum += attention.query_width() + attention.key_width();
  if (attention.latent)
    sum += attention.latent->query_rank + attention.latent->key_value_rank;
  if (attention.indexer)
    sum += 2 * attention.indexer->dim;  // its keys' LayerNorm
  return real(sum);
}

double vectors(const Model&, const Recurrence& mixer) {
  using Kind = Recurrence::Kind;
  const std::int64_t taps = mixer.convolution + (mixer.convolution_bias ? 1 : 0);
  const std::int64_t keys = mixer.key_width();
  const std::int64_t values = mixer.value_width();
  switch (mixer.kind) {
    case Kind::GatedDelta:  // decay, step and norm
      return real(taps * (2 * keys + values) + 2 * mixer.heads + mixer.value_dim);
    case Kind::KimiDelta:
      return real(taps * (2 * keys + values) + mixer.heads + keys + mixer.value_dim);
    case Kind::Lightning:
      return real(values);
    case Kind::Mamba: {  // decay of each state, skip, step's bias
      const std::int64_t norms = mixer.norms_steps ? mixer.rank + 2 * keys : 0;
      return real(taps * values + values * mixer.key_dim + 2 * values + norms);
    }
    case Kind::Mamba2:  // decay, skip and step of each head
      return real(taps * (values + 2 * keys) + 3 * mixer.heads + (mixer.norms_output ? values : 0));
  }
  return 0;
}

double vectors(const Model& model, const Mlp& mlp) {
  return mlp.bias ? real(mlp.widened() + model.hidden) : 0;
}

Linears linears(const Model& model, const Attention& mixer, const Parallel& parallel) {
  return attention_linears(model, mixer, parallel);
}
Linears linears(const Model& model, const Recurrence& mixer, const Parallel& parallel) {
  return recurrence_linears(model, mixer, parallel);
}

double width_of_heads(std::int64_t heads, std::int64_t dim, const Parallel& parallel) {
  return real(std::max<std::int64_t>(1, heads / parallel.tensor) * dim);
}

/// The linears of latent attention before its last one.
Linears latent_linears(const Model& model, const Attention& attention, double share) {
  const LatentAttention& latent = *attention.latent;
  const double h = real(model.hidden);
  const double queries = real(attention.query_width()) * share;
  const double compressed = real(latent.key_value_rank + latent.rope_dim);
  const double keys_values = real(attention.heads * (latent.nope_dim + attention.value_dim));
  const Linear up = {
      .in = real(latent.key_value_rank), .out = keys_values * share, .is_up_projection = true};
  if (latent.query_rank == 0)
    return {{.in = h, .out = queries}, {.in = h, .out = compressed, .tokens = Tokens::Divided}, up};
  const double rank = real(latent.query_rank);
  return {{.in = h, .out = rank + compressed, .tokens = Tokens::Divided},
          {.in = rank, .out = queries, .is_up_projection = true},
          up};
}

}  // namespace

double key_width(const Attention& attention, const Parallel& parallel) {
  return width_of_heads(attention.key_value_heads, attention.key_dim, parallel);
}

double value_width(const Attention& attention, const Parallel& parallel) {
  return width_of_heads(attention.key_value_heads, attention.value_dim, parallel);
}

double key_width(const Recurrence& mixer, const Parallel& parallel) {
  return width_of_heads(mixer.key_heads, mixer.key_dim, parallel);
}

Linears attention_linears(const Model& model, const Attention& attention,
                          const Parallel& parallel) {
  const double h = real(model.hidden);
  const double share = 1 / real(parallel.tensor);
  const double output = real(attention.output_width()) * share;
  Linears result;
  if (attention.latent) {
    result = latent_linears(model, attention, share);
  } else {
    const double keys_values = key_width(attention, parallel) + value_width(attention, parallel);
    result.push_back({.in = h,
                      .out = real(attention.query_width()) * share + keys_values +
                             (attention.output_gate ? output : 0)});
  }
  if (const auto& indexer = attention.indexer; indexer && indexer->heads > 0) {
    const std::int64_t rank = attention.latent ? attention.latent->query_rank : 0;
    result.push_back({.in = rank > 0 ? real(rank) : h,
                      .out = real(indexer->heads * indexer->dim),
                      .tokens = Tokens::Divided});
    result.push_back(
        {.in = h, .out = real(indexer->dim + indexer->heads), .tokens = Tokens::Divided});
  }
  result.push_back({.in = output, .out = h});
  return result;
}

Linears recurrence_linears(const Model& model, const Recurrence& mixer, const Parallel& parallel) {
  using Kind = Recurrence::Kind;
  const double h = real(model.hidden);
  const double share = 1 / real(parallel.tensor);
  const double keys = key_width(mixer, parallel);
  const double values = real(mixer.value_width()) * share;
  const double heads = real(mixer.heads) * share;
  const double rank = real(mixer.rank);
  const Linear output = {.in = values, .out = h};
  switch (mixer.kind) {
    case Kind::GatedDelta:
      return {{.in = h, .out = 2 * keys + 2 * values + 2 * heads}, output};
    case Kind::KimiDelta:
      return {{.in = h, .out = 2 * keys + values + heads},
              {.in = h, .out = 2 * rank, .tokens = Tokens::Divided},
              {.in = rank, .out = keys + values},
              output};
    case Kind::Lightning:
      return {{.in = h, .out = 2 * keys + 2 * values}, output};
    case Kind::Mamba:
      return {{.in = h, .out = 2 * values},
              {.in = values, .out = rank + 2 * keys},
              {.in = rank, .out = values},
              output};
    case Kind::Mamba2:
      return {{.in = h, .out = 2 * values + 2 * keys + heads}, output};
  }
  return {};
}

Linears mlp_linears(const Model& model, const Mlp& mlp, const Parallel& parallel) {
  const double share = 1 / real(parallel.tensor);
  return {{.in = real(model.hidden), .out = real(mlp.widened()) * share},
          {.in = real(mlp.width) * share, .out = real(model.hidden), .casts_input = false}};
}

Linears expert_linears(const Model& model, const Experts& experts, const Parallel& parallel) {
  const double share = 1 / real(parallel.expert_tensor());
  const double copies = real(experts.count / parallel.expert);
  const double h = real(experts.latent_width > 0 ? experts.latent_width : model.hidden);
  return {{.in = h,
           .out = real(experts.each.widened()) * share,
           .tokens = Tokens::Routed,
           .copies = copies,
           .casts_input = false},
          {.in = real(experts.each.width) * share,
           .out = h,
           .tokens = Tokens::Routed,
           .copies = copies,
           .casts_input = false,
           .casts_gradient = false}};
}

Linears latent_expert_linears(const Model& model, const Experts& experts) {
  const double h = real(model.hidden);
  const double width = real(experts.latent_width);
  if (experts.latent_width == 0)
    return {};
  return {{.in = h, .out = width, .tokens = Tokens::Divided},
          {.in = width, .out = h, .tokens = Tokens::Divided}};
}

Parameters& Parameters::operator+=(const Parameters& other) {
  plain += other.plain;
  expert += other.expert;
  return *this;
}

Parameters layer_parameters(const Model& model, const LayerKind& kind, const Parallel& parallel) {
  Parameters sum;
  for (const Mixer& mixer : kind.mixers)
    sum.plain += std::visit(
        [&](const auto& each) {
          return weights(linears(model, each, parallel)) + vectors(model, each);
        },
        mixer);
  sum.plain += real(kind.norms) * norm(model);
  if (kind.mlp)
    sum.plain += weights(mlp_linears(model, *kind.mlp, parallel)) + vectors(model, *kind.mlp);
  if (!kind.experts)
    return sum;
  const Experts& experts = *kind.experts;
  sum.plain += real(model.hidden * experts.count) + real(experts.router_bias ? experts.count : 0);
  if (experts.shared_width > 0)
    sum.plain += weights(mlp_linears(model, experts.shared(), parallel)) +
                 vectors(model, experts.shared()) + real(experts.shared_gate ? model.hidden : 0);
  sum.plain += weights(latent_expert_linears(model, experts));
  sum.expert += weights(expert_linears(model, experts, parallel)) +
                real(experts.count / parallel.expert) * vectors(model, experts.each);
  return sum;
}

double prediction_parameters(const Model& model) {
  return real(2 * model.hidden * model.hidden) + 3 * norm(model);
}

double embedding_parameters(const Model& model, const Parallel& parallel) {
  return real(model.vocabulary * model.hidden) / real(parallel.tensor) +
         real(model.learned_positions * model.hidden);
}

double head_parameters(const Model& model, const Parallel& parallel) {
  return real(model.vocabulary * model.hidden + (model.head_bias ? model.vocabulary : 0)) /
         real(parallel.tensor);
}

std::string describe(const Model& model) {
  const auto billions = [](std::int64_t parameters) {
    return fmt::format("{:.1f} B", real(parameters) / 1e9);
  };
  std::string text = fmt::format(
      "{}: {} parameters, of which a token meets {}; {} layers: {}; a vocabulary of {}, {}",
      model.name, billions(total_parameters(model)), billions(activated_parameters(model)),
      model.depth(), describe_layers(model), model.vocabulary,
      model.tied_embeddings ? "the embedding is the head" : "embedding and head apart");
  if (model.prediction_depth() > 0)
    text += fmt::format("; {} of multi-token prediction, {} beside", model.prediction_depth(),
                        billions(prediction_module_parameters(model)));
  return text;
}

std::int64_t total_parameters(const Model& model) {
  double sum = embedding_parameters(model, {}) + norm(model) +
               (model.tied_embeddings ? 0 : head_parameters(model, {}));
  for (const std::uint8_t kind : model.layers)
    sum += layer_parameters(model, model.kinds[kind], {}).sum();
  return static_cast<std::int64_t>(sum);
}

std::int64_t prediction_module_parameters(const Model& model) {
  double sum = 0;
  for (const std::uint8_t kind : model.predictions)
    sum += prediction_parameters(model) + layer_parameters(model, model.kinds[kind], {}).sum();
  return static_cast<std::int64_t>(sum);
}

std::int64_t activated_parameters(const Model& model) {
  double sum = norm(model) + head_parameters(model, {});
  for (const std::uint8_t index : model.layers) {
    const LayerKind& kind = model.kinds[index];
    const Parameters layer = layer_parameters(model, kind, {});
    sum += layer.plain;
    if (kind.experts)
      sum += layer.expert * real(kind.experts->per_token) / real(kind.experts->count);
  }
  return std::llround(sum);
}

}  // namespace bubblescope

#include "sim/transformer/feed_forward_costs.h"

#include <algorithm>

#include "sim/transformer/analytic_units.h"

namespace bubblescope {
namespace {

bool sends_quantized(const Training& training) {
  return training.precision == Precision::Fp8 && training.fp8_recipe == Fp8Recipe::Block &&
         training.dispatch == Dispatch::DeepEp;
}

/// fp8 values of DeepSeek-V3 come with a scale in fp32 for each 128 (section 3.3.2).
double dispatched_bytes(const LayerSetting& setting) {
  return sends_quantized(setting.training) ? 1 + kFull / 128 : kHalf;
}

}  // namespace

FeedForward::FeedForward(const LayerSetting& setting, const LayerKind& kind)
    : setting_(setting), kind_(kind) {
  const Model& model = setting.model;
  const Parallel& parallel = setting.parallel;
  if (kind.mlp)
    own_.push_back(mlp_linears(model, *kind.mlp, parallel));
  if (!kind.experts)
    return;
  if (kind.experts->shared_width > 0)
    own_.push_back(mlp_linears(model, kind.experts->shared(), parallel));
  routed_ = expert_linears(model, *kind.experts, parallel);
  latent_ = latent_expert_linears(model, *kind.experts);
  spread_ = expert_spread(*kind.experts, {parallel.expert, setting.hardware.gpus_per_node});
}

void FeedForward::route(Kernels& kernels) const {
  const double tokens = setting_.divided_tokens();
  const double h = real(setting_.model.hidden);
  const double experts = real(kind_.experts->count);
  kernels.norms(kind_.feed_forward_norms());
  kernels.half_product(tokens, h, experts, kHalf * (tokens * (h + experts) + h * experts));
  kernels.moves(3 * kFull * tokens * experts);  // scores, the best, their weights
  if (!latent_.empty())
    kernels.forward(latent_[0]);
  if (sends_quantized(setting_.training))
    kernels.cast(tokens * expert_width());
}

void FeedForward::route_input_gradient(Kernels& kernels) const {
  const double tokens = setting_.divided_tokens();
  const double h = real(setting_.model.hidden);
  const double experts = real(kind_.experts->count);
  if (!latent_.empty())
    kernels.input_gradient(latent_[0]);
  kernels.half_product(tokens, experts, h, kHalf * (tokens * (h + experts) + h * experts));
  kernels.norm_gradients(kind_.feed_forward_norms());
  kernels.sum(hidden_values());
}

void FeedForward::route_weight_gradient(Kernels& kernels) const {
  if (!latent_.empty())
    kernels.weight_gradient(latent_[0]);
  kernels.half_weight_gradient(setting_.divided_tokens(), real(setting_.model.hidden),
                               real(kind_.experts->count));
}

void FeedForward::forward(Kernels& kernels) const {
  if (!kind_.experts)
    kernels.norms(kind_.feed_forward_norms());
  for (const Linears& own : own_)
    mlp_forward(kernels, own);
  kernels.sum(hidden_values());
  if (!kind_.experts)
    return;
  kernels.moves(permuted_bytes(dispatched_bytes(setting_)));
  mlp_forward(kernels, routed_);
  kernels.moves(permuted_bytes(kHalf));
  kernels.moves(unfused_bytes());
  if (!latent_.empty())
    kernels.forward(latent_[1]);
  kernels.sum(hidden_values());
}

void FeedForward::input_gradient(Kernels& kernels) const {
  for (const Linears& own : own_)
    mlp_input_gradient(kernels, own);
  kernels.sum(hidden_values());
  if (!kind_.experts) {
    const Recompute& again = setting_.training.recompute;
    if (again.norms && !again.mlp)
      kernels.norms(kind_.feed_forward_norms());
    kernels.norm_gradients(kind_.feed_forward_norms());
    return;
  }
  if (!latent_.empty())
    kernels.input_gradient(latent_[1]);
  if (sends_quantized(setting_.training))
    kernels.cast(setting_.expert_tokens() * expert_width());
  kernels.moves(permuted_bytes(dispatched_bytes(setting_)));
  mlp_input_gradient(kernels, routed_);
  kernels.moves(permuted_bytes(kHalf));
  kernels.moves(unfused_bytes());
}

void FeedForward::weight_gradient(Kernels& kernels) const {
  for (const Linears& own : own_)
    for (const Linear& linear : own)
      kernels.weight_gradient(linear);
  if (!latent_.empty())
    kernels.weight_gradient(latent_[1]);
  for (const Linear& linear : routed_)
    kernels.weight_gradient(linear);
}

void FeedForward::exchange_quantized(Kernels& kernels) const {
  exchange(kernels, dispatched_bytes(setting_));
}

void FeedForward::exchange_whole(Kernels& kernels) const {
  exchange(kernels, kHalf);
}

bool FeedForward::gathers() const {
  const bool divides_experts =
      kind_.experts && (kind_.experts->shared_width > 0 || setting_.parallel.expert_tensor() > 1);
  return (kind_.mlp && !kind_.is_parallel) || divides_experts;
}

double FeedForward::hidden_values() const {
  return setting_.divided_tokens() * real(setting_.model.hidden);
}

/// Width of a token as it is sent to experts.
double FeedForward::expert_width() const {
  const std::int64_t latent = kind_.experts->latent_width;
  return real(latent > 0 ? latent : setting_.model.hidden);
}

/// Bytes that take the tokens as they arrive to the rows of their experts, or back.
double FeedForward::permuted_bytes(double bytes) const {
  const double arrivals =
      setting_.expert_tokens() * spread_.gpu_copies * setting_.training.expert_imbalance;
  return bytes * expert_width() * (arrivals + setting_.rows(Tokens::Routed, kind_));
}

/// Passes over the rows of experts that pad, quantize in both directions, and weigh. How many is
/// fitted to runs (docs/accuracy.md).
double FeedForward::unfused_bytes() const {
  constexpr double kPasses = 6;
  return setting_.training.fused_experts
             ? 0
             : kPasses * kHalf * setting_.rows(Tokens::Routed, kind_) * expert_width();
}

void FeedForward::exchange(Kernels& kernels, double bytes) const {
  const Hardware& hardware = setting_.hardware;
  const double per_node = std::min(real(setting_.parallel.expert), real(hardware.gpus_per_node));
  const double sent =
      setting_.expert_tokens() * expert_width() * bytes * setting_.training.expert_imbalance;
  if (setting_.training.dispatch == Dispatch::AllToAll)
    return kernels.all_to_all(sent * real(kind_.experts->per_token), setting_.parallel.expert);
  kernels.send({sent * spread_.gpu_copies * (per_node - 1) / per_node,
                sent * spread_.node_copies * (spread_.nodes - 1) / spread_.nodes},
               seconds(spread_.nodes > 1 ? hardware.nic_latency : hardware.nvlink_latency));
}

/// Between the two products of `linears`: reads both halves, writes one, quantized.
void FeedForward::activation_function(Kernels& kernels, const Linears& linears) const {
  if (is_fused(linears))
    return;
  const double rows = kernels.rows(linears[0]);
  kernels.moves(rows * kHalf * linears[0].out + rows * setting_.element_bytes() * linears[1].in);
}

void FeedForward::mlp_forward(Kernels& kernels, const Linears& linears) const {
  kernels.forward(linears[0]);
  activation_function(kernels, linears);
  kernels.forward(linears[1]);
}

void FeedForward::mlp_input_gradient(Kernels& kernels, const Linears& linears) const {
  const double rows = kernels.rows(linears[0]);
  kernels.input_gradient(linears[1]);
  if (!is_fused(linears))
    kernels.moves(kHalf * (rows * linears[1].in + 2 * rows * linears[0].out));
  const Recompute& again = setting_.training.recompute;
  if (again.activation && !(kind_.experts ? again.experts : again.mlp))
    activation_function(kernels, linears);
  kernels.input_gradient(linears[0]);
}

}  // namespace bubblescope

#include "sim/transformer/layer_costs.h"

#include <algorithm>

#include "sim/transformer/analytic_units.h"
#include "sim/transformer/collectives.h"
#include "sim/transformer/expert_spread.h"

namespace bubblescope {
namespace {

/// fp8 values of DeepSeek-V3 come with a scale in fp32 for each 128 (section 3.3.2).
double dispatched_bytes(const LayerSetting& setting) {
  return setting.training.precision == Precision::Fp8 ? 1 + kFull / 128 : kHalf;
}

/// The kernels of one phase, one after another.
class Kernels {
 public:
  explicit Kernels(const LayerSetting& setting) : setting_(setting) {}

  PhaseCost take() const { return cost_; }

  /// A kernel that reads and writes so many bytes and computes next to nothing.
  void moves(double bytes) { add({0, 1, bytes}); }
  /// A norm, forward: reads and writes each value. Backward it reads the gradient too.
  void norm(double values) { moves(2 * kHalf * values); }
  void norm_gradient(double values) { moves(3 * kHalf * values); }
  /// a + b
  void sum(double values) { moves(3 * kHalf * values); }
  /// Into fp8: reads bf16, writes fp8; where the product is in bf16 there is nothing to do.
  void cast(double values) {
    if (is_fp8())
      moves((kHalf + 1) * values);
  }

  void forward(const Linear& linear) {
    if (linear.casts_input)
      cast(linear.rows * linear.in);
    product(linear, kHalf * linear.rows * linear.out +
                        setting_.element_bytes() * (linear.rows * linear.in + weights(linear)));
  }
  void input_gradient(const Linear& linear) {
    if (linear.casts_gradient)
      cast(linear.rows * linear.out);
    product(linear, kHalf * linear.rows * linear.in +
                        setting_.element_bytes() * (linear.rows * linear.out + weights(linear)));
  }
  /// Both factors are scaled along the other dimension than before, so that they are transposed and
  /// quantized again (DeepSeek-V3, section 3.3.2).
  void weight_gradient(const Linear& linear) {
    if (is_fp8()) {
      moves(2 * linear.rows * linear.in);
      moves((linear.casts_gradient ? kHalf + 1 : 2) * linear.rows * linear.out);
    }
    product(linear, setting_.element_bytes() * linear.rows * (linear.in + linear.out));
    accumulate(weights(linear));
  }
  /// In bf16 whatever the precision: router, head. With gradients that it accumulates.
  void half_weight_gradient(double rows, double in, double out) {
    half_product(in, rows, out, kHalf * rows * (in + out));
    accumulate(in * out);
  }
  void half_product(double rows, double in, double out, double bytes) {
    const Hardware& hardware = setting_.hardware;
    add({2 * rows * in * out, hardware.bf16_flops * hardware.efficiency.gemm_bf16, bytes});
  }

  /// Causal attention over all heads of this GPU; `key_products` and `value_products` are how many
  /// s × s products with the key's and the value's dimension there are.
  void fused_attention(double key_products, double value_products, double efficiency) {
    const Model& model = setting_.model;
    const double pairs = scores() / 2;  // below the diagonal
    const double flops =
        2 * pairs * (key_products * real(model.key_dim) + value_products * real(model.value_dim));
    const double values = setting_.tokens() * (setting_.key_width() + setting_.value_width() +
                                               real(model.query_width() + model.output_width()) /
                                                   real(setting_.parallel.tensor));
    add({flops, setting_.hardware.bf16_flops * efficiency, kHalf * values * key_products});
  }
  /// Scores, softmax and dropout written to memory, above the diagonal too.
  void plain_attention(double key_products, double value_products, double score_bytes) {
    const Model& model = setting_.model;
    half_product(scores(), 1,
                 key_products * real(model.key_dim) + value_products * real(model.value_dim),
                 kHalf * scores() * (key_products + value_products));
    moves(score_bytes * scores());
  }

  /// `bytes` that this GPU sends over NVLink and over its NIC, at once.
  struct Sent {
    double nvlink;
    double network;
  };
  void send(Sent sent, double latency) {
    const Hardware& hardware = setting_.hardware;
    const double nvlink = sent.nvlink / (hardware.nvlink_bandwidth * hardware.efficiency.nvlink);
    const double network = sent.network / (hardware.nic_bandwidth * hardware.efficiency.network);
    cost_.traffic += sent.nvlink + sent.network;
    const Bound bound = network > nvlink ? Bound::Network : Bound::NvLink;
    cost_.seconds_by_bound[static_cast<std::size_t>(bound)] += std::max(nvlink, network) + latency;
  }
  /// `count` all-gathers or reduce-scatters of so many bytes over the tensor group.
  void tensor_collectives(int count, double bytes) {
    const GpuGroup group = group_of(setting_.parallel.tensor, 1, setting_.hardware);
    for (int i = 0; i < count; ++i)
      cost_ += collective_cost(setting_, group, bytes);
  }

  double scores() const {
    const Training& training = setting_.training;
    return setting_.tokens() * real(training.sequence) * real(setting_.model.heads) /
           real(setting_.parallel.tensor);
  }
  bool is_fp8() const { return setting_.training.precision == Precision::Fp8; }

 private:
  /// Gradients of weights are read and written in fp32 when a block has its product, with nothing
  /// left to run beside it.
  void accumulate(double gradients) {
    const Hardware& hardware = setting_.hardware;
    const double bytes = 2 * kFull * gradients;
    cost_.bytes += bytes;
    cost_.seconds_by_bound[static_cast<std::size_t>(Bound::Memory)] +=
        bytes / (hardware.memory_bandwidth * hardware.efficiency.memory);
  }

  struct Kernel {
    double flops;
    double flops_per_second;
    double bytes;
  };

  static double weights(const Linear& linear) { return linear.copies * linear.in * linear.out; }

  void product(const Linear& linear, double bytes) {
    const Hardware& hardware = setting_.hardware;
    const double rate = is_fp8() ? hardware.fp8_flops * hardware.efficiency.gemm_fp8
                                 : hardware.bf16_flops * hardware.efficiency.gemm_bf16;
    add({2 * linear.rows * linear.in * linear.out, rate, bytes});
  }

  void add(const Kernel& kernel) {
    const Hardware& hardware = setting_.hardware;
    const double computing = kernel.flops / kernel.flops_per_second;
    const double moving = kernel.bytes / (hardware.memory_bandwidth * hardware.efficiency.memory);
    const Bound bound = computing > moving ? Bound::Compute : Bound::Memory;
    cost_.flops += kernel.flops;
    cost_.bytes += kernel.bytes;
    cost_.seconds_by_bound[static_cast<std::size_t>(bound)] += std::max(computing, moving);
    cost_.gaps += seconds(hardware.kernel_gap);
  }

  const LayerSetting& setting_;
  PhaseCost cost_ = {};
};

PhaseCost& at(LayerCost& cost, PhaseId id) {
  return cost[static_cast<std::size_t>(id)];
}

/// The phases of a layer, each made of its kernels.
class LayerPhasesOf {
 public:
  LayerPhasesOf(const LayerSetting& setting, LayerKind kind)
      : setting_(setting), model_(setting.model), has_experts_(kind == LayerKind::Experts) {
    if (has_experts_)
      spread_ =
          expert_spread(*model_.experts, {setting.parallel.expert, setting.hardware.gpus_per_node});
  }

  LayerCost cost() const {
    LayerCost result;
    at(result, PhaseId::AttentionF) = attention_forward();
    at(result, PhaseId::AttentionB) = attention_input_gradient();
    at(result, PhaseId::AttentionW) = attention_weight_gradient();
    at(result, PhaseId::MlpF) = mlp_forward();
    at(result, PhaseId::MlpB) = mlp_input_gradient();
    at(result, PhaseId::MlpW) = mlp_weight_gradient();
    const Parallel& parallel = setting_.parallel;
    if (parallel.tensor > 1)
      at(result, PhaseId::TensorAttentionF) = at(result, PhaseId::TensorAttentionB) =
          tensor_collectives();
    if (parallel.tensor > 1 && gathers_in_mlp())
      at(result, PhaseId::TensorMlpF) = at(result, PhaseId::TensorMlpB) = tensor_collectives();
    if (parallel.context > 1) {
      at(result, PhaseId::ContextF) = context_ring(false);
      at(result, PhaseId::ContextB) = context_ring(true);
    }
    if (has_experts_ && parallel.expert > 1) {
      // Forward tokens and the gradients that go the same way are quantized, what comes back is
      // not (DeepSeek-V3, section 3.3.3).
      at(result, PhaseId::DispatchF) = exchange(dispatched_bytes(setting_));
      at(result, PhaseId::CombineB) = exchange(dispatched_bytes(setting_));
      at(result, PhaseId::CombineF) = exchange(kHalf);
      at(result, PhaseId::DispatchB) = exchange(kHalf);
    }
    if (setting_.training.recompute == Recompute::Full)
      run_again(result);
    return result;
  }

 private:
  static void run_again(LayerCost& cost) {
    constexpr std::pair<PhaseId, PhaseId> kAgain[] = {
        {PhaseId::RecomputeAttention, PhaseId::AttentionF},
        {PhaseId::RecomputeTensorAttention, PhaseId::TensorAttentionF},
        {PhaseId::RecomputeContext, PhaseId::ContextF},
        {PhaseId::RecomputeDispatch, PhaseId::DispatchF},
        {PhaseId::RecomputeMlp, PhaseId::MlpF},
        {PhaseId::RecomputeTensorMlp, PhaseId::TensorMlpF},
        {PhaseId::RecomputeCombine, PhaseId::CombineF}};
    for (const auto& [again, forward] : kAgain)
      at(cost, again) = at(cost, forward);
  }

  double hidden_values() const { return setting_.divided_tokens() * real(model_.hidden); }
  bool is_selective() const { return setting_.training.recompute == Recompute::Selective; }

  /// Values of queries and keys that are rotated or copied into place.
  double rotated_values() const {
    const double queries = real(model_.query_width()) / real(setting_.parallel.tensor);
    const double copied = model_.latent ? setting_.value_width() : 0;
    return setting_.tokens() * (queries + setting_.key_width() + copied);
  }

  /// Of the compressed queries, keys and values.
  double latent_values() const {
    return model_.latent ? setting_.divided_tokens() *
                               real(model_.latent->query_rank + model_.latent->key_value_rank)
                         : 0;
  }

  /// The norm and router that send tokens to experts.
  void route(Kernels& kernels) const {
    const double tokens = setting_.divided_tokens();
    const double h = real(model_.hidden);
    const double experts = real(model_.experts->count);
    kernels.norm(hidden_values());
    kernels.half_product(tokens, h, experts, kHalf * (tokens * (h + experts) + h * experts));
    kernels.moves(3 * kFull * tokens * experts);  // scores, the best, their weights
    kernels.cast(tokens * h);                     // before they are sent
  }

  PhaseCost attention_forward() const {
    Kernels kernels(setting_);
    kernels.norm(hidden_values());
    for (const Linear& linear : attention_linears(setting_))
      kernels.forward(linear);
    if (model_.latent)
      kernels.norm(latent_values());
    kernels.moves(2 * kHalf * rotated_values());
    if (setting_.training.fused_attention)
      kernels.fused_attention(1, 1, setting_.hardware.efficiency.attention_forward);
    else
      kernels.plain_attention(1, 1, score_bytes());
    kernels.sum(hidden_values());
    if (has_experts_)
      route(kernels);
    return kernels.take();
  }

  PhaseCost attention_input_gradient() const {
    Kernels kernels(setting_);
    if (has_experts_) {
      const double tokens = setting_.divided_tokens();
      const double h = real(model_.hidden);
      const double experts = real(model_.experts->count);
      kernels.half_product(tokens, experts, h, kHalf * (tokens * (h + experts) + h * experts));
      kernels.norm_gradient(hidden_values());
      kernels.sum(hidden_values());
    }
    if (is_selective())
      make_again(kernels);
    // Scores are made again: five products for the forward's two (FlashAttention-2, arXiv
    // 2307.08691, section 3.1.2).
    if (setting_.training.fused_attention)
      kernels.fused_attention(3, 2, setting_.hardware.efficiency.attention_backward);
    else
      kernels.plain_attention(2, 2, model_.dropout ? 17 : 12);
    kernels.moves(2 * kHalf * rotated_values());
    for (const Linear& linear : attention_linears(setting_))
      kernels.input_gradient(linear);
    if (model_.latent)
      kernels.norm_gradient(latent_values());
    kernels.norm_gradient(hidden_values());
    kernels.sum(hidden_values());
    return kernels.take();
  }

  /// Softmax forward reads and writes; so does dropout, which writes its mask too.
  double score_bytes() const { return model_.dropout ? 11 : 6; }

  void make_again(Kernels& kernels) const {
    if (!setting_.training.fused_attention)
      kernels.plain_attention(1, 0, score_bytes());
    kernels.norm(hidden_values());
    if (has_experts_)
      kernels.norm(hidden_values());
    if (!model_.latent)
      return;
    kernels.norm(latent_values());
    for (const Linear& linear : attention_linears(setting_))
      if (linear.is_up_projection)
        kernels.forward(linear);
    kernels.moves(2 * kHalf * rotated_values());
  }

  PhaseCost attention_weight_gradient() const {
    Kernels kernels(setting_);
    for (const Linear& linear : attention_linears(setting_))
      kernels.weight_gradient(linear);
    if (has_experts_) {
      const double tokens = setting_.divided_tokens();
      const double h = real(model_.hidden);
      const double experts = real(model_.experts->count);
      kernels.half_weight_gradient(tokens, h, experts);
    }
    return kernels.take();
  }

  /// The MLP of a dense layer or the shared experts.
  std::vector<Linear> own_linears() const {
    if (!has_experts_)
      return mlp_linears(setting_, model_.mlp_width);
    const std::int64_t shared = model_.experts->shared_width;
    return shared > 0 ? mlp_linears(setting_, shared) : std::vector<Linear>{};
  }

  /// Between the two products of `linears`: reads both halves, writes one, quantized.
  void activation_function(Kernels& kernels, const std::vector<Linear>& linears) const {
    kernels.moves(linears[0].rows * kHalf * linears[0].out +
                  linears[1].rows * setting_.element_bytes() * linears[1].in);
  }
  void activation_gradient(Kernels& kernels, const std::vector<Linear>& linears) const {
    kernels.moves(kHalf * (linears[1].rows * linears[1].in + 2 * linears[0].rows * linears[0].out));
    if (is_selective())
      activation_function(kernels, linears);
  }

  /// Bytes that take the tokens as they arrive to the rows of their experts, or back.
  double permuted_bytes(double bytes) const {
    const double arrivals = setting_.expert_tokens() * spread_.gpu_copies;
    return bytes * real(model_.hidden) * (arrivals + setting_.expert_rows());
  }

  PhaseCost mlp_forward() const {
    Kernels kernels(setting_);
    if (!has_experts_)
      kernels.norm(hidden_values());
    if (const auto own = own_linears(); !own.empty()) {
      kernels.forward(own[0]);
      activation_function(kernels, own);
      kernels.forward(own[1]);
    }
    kernels.sum(hidden_values());
    if (!has_experts_)
      return kernels.take();
    const auto experts = expert_linears(setting_);
    kernels.moves(permuted_bytes(dispatched_bytes(setting_)));
    kernels.forward(experts[0]);
    activation_function(kernels, experts);
    kernels.forward(experts[1]);
    kernels.moves(permuted_bytes(kHalf));
    kernels.sum(hidden_values());
    return kernels.take();
  }

  PhaseCost mlp_input_gradient() const {
    Kernels kernels(setting_);
    if (const auto own = own_linears(); !own.empty()) {
      kernels.input_gradient(own[1]);
      activation_gradient(kernels, own);
      kernels.input_gradient(own[0]);
    }
    kernels.sum(hidden_values());
    if (!has_experts_) {
      kernels.norm_gradient(hidden_values());
      return kernels.take();
    }
    const auto experts = expert_linears(setting_);
    kernels.cast(setting_.expert_tokens() * real(model_.hidden));  // before they are sent
    kernels.moves(permuted_bytes(dispatched_bytes(setting_)));
    kernels.input_gradient(experts[1]);
    activation_gradient(kernels, experts);
    kernels.input_gradient(experts[0]);
    kernels.moves(permuted_bytes(kHalf));
    return kernels.take();
  }

  PhaseCost mlp_weight_gradient() const {
    Kernels kernels(setting_);
    for (const Linear& linear : own_linears())
      kernels.weight_gradient(linear);
    if (has_experts_)
      for (const Linear& linear : expert_linears(setting_))
        kernels.weight_gradient(linear);
    return kernels.take();
  }

  /// Whether the tensor group divides an MLP, shared experts or experts, so that tokens have to be
  /// gathered before and scattered after.
  bool gathers_in_mlp() const {
    return !has_experts_ || model_.experts->shared_width > 0 ||
           setting_.parallel.expert_tensor() > 1;
  }

  /// Sequence parallelism: an all-gather before and a reduce-scatter behind, forward and backward
  /// (Korthikanti et al., arXiv 2205.05198, figure 5).
  PhaseCost tensor_collectives() const {
    Kernels kernels(setting_);
    kernels.tensor_collectives(2, kHalf * setting_.tokens() * real(model_.hidden));
    return kernels.take();
  }

  /// What of passing keys and values on around the context group, their gradients too in the
  /// backward, takes longer than attention, beside which it runs (Liu et al., Ring Attention, arXiv
  /// 2310.01889). Its GPUs lie tp apart and each sends to the next, so that all wait for the one
  /// whose next is in another node.
  PhaseCost context_ring(bool is_backward) const {
    const Parallel& parallel = setting_.parallel;
    const Hardware& hardware = setting_.hardware;
    const bool is_within = group_of(parallel.context, parallel.tensor, hardware).nodes == 1;
    const double steps = (is_backward ? 2 : 1) * real(parallel.context - 1);
    const double sent =
        steps * kHalf * setting_.tokens() * (setting_.key_width() + setting_.value_width());
    Kernels ring(setting_);
    ring.send({is_within ? sent : 0, is_within ? 0 : sent},
              steps * seconds(is_within ? hardware.nvlink_latency : hardware.nic_latency));
    Kernels attention(setting_);
    const Hardware::Efficiency& efficiency = hardware.efficiency;
    attention.fused_attention(
        is_backward ? 3 : 1, is_backward ? 2 : 1,
        is_backward ? efficiency.attention_backward : efficiency.attention_forward);
    return ring.take().longer_than(attention.take().seconds());
  }

  /// All-to-all with one copy for each node, which passes it on over NVLink, as DeepEP does.
  PhaseCost exchange(double bytes) const {
    Kernels kernels(setting_);
    const Hardware& hardware = setting_.hardware;
    const double per_node = std::min(real(setting_.parallel.expert), real(hardware.gpus_per_node));
    const double sent = setting_.expert_tokens() * real(model_.hidden) * bytes;
    kernels.send({sent * spread_.gpu_copies * (per_node - 1) / per_node,
                  sent * spread_.node_copies * (spread_.nodes - 1) / spread_.nodes},
                 seconds(spread_.nodes > 1 ? hardware.nic_latency : hardware.nvlink_latency));
    return kernels.take();
  }

  const LayerSetting& setting_;
  const Model& model_;
  bool has_experts_;
  ExpertSpread spread_ = {};
};

}  // namespace

std::vector<Linear> attention_linears(const LayerSetting& setting) {
  const Model& model = setting.model;
  const double h = real(model.hidden);
  const double share = 1 / real(setting.parallel.tensor);
  const double tokens = setting.tokens();
  const Linear output = {.rows = tokens, .in = real(model.output_width()) * share, .out = h};
  if (!model.latent) {
    const double queries = real(model.query_width()) * share;
    const double columns = queries + setting.key_width() + setting.value_width();
    return {{.rows = tokens, .in = h, .out = columns}, output};
  }
  const LatentAttention& latent = *model.latent;
  const double compressed = real(latent.key_value_rank + latent.rope_dim);
  const double keys_values = real(model.heads * (latent.nope_dim + model.value_dim));
  const Linear up = {.rows = tokens,
                     .in = real(latent.key_value_rank),
                     .out = keys_values * share,
                     .is_up_projection = true};
  if (latent.query_rank == 0)
    return {{.rows = tokens, .in = h, .out = real(model.query_width()) * share},
            {.rows = setting.divided_tokens(), .in = h, .out = compressed},
            up,
            output};
  const double rank = real(latent.query_rank);
  return {{.rows = setting.divided_tokens(), .in = h, .out = rank + compressed},
          {.rows = tokens,
           .in = rank,
           .out = real(model.query_width()) * share,
           .is_up_projection = true},
          up,
          output};
}

std::vector<Linear> mlp_linears(const LayerSetting& setting, std::int64_t width) {
  const Model& model = setting.model;
  const double share = 1 / real(setting.parallel.tensor);
  return {{.rows = setting.tokens(),
           .in = real(model.hidden),
           .out = real(model.widened(width)) * share},
          {.rows = setting.tokens(),
           .in = real(width) * share,
           .out = real(model.hidden),
           .casts_input = false}};
}

std::vector<Linear> expert_linears(const LayerSetting& setting) {
  const Model& model = setting.model;
  const double share = 1 / real(setting.parallel.expert_tensor());
  const double copies = real(model.experts->count / setting.parallel.expert);
  const std::int64_t width = model.experts->width;
  return {{.rows = setting.expert_rows(),
           .in = real(model.hidden),
           .out = real(model.widened(width)) * share,
           .copies = copies,
           .casts_input = false},
          {.rows = setting.expert_rows(),
           .in = real(width) * share,
           .out = real(model.hidden),
           .copies = copies,
           .casts_input = false,
           .casts_gradient = false}};
}

LayerCost layer_cost(const LayerSetting& setting, LayerKind kind) {
  return LayerPhasesOf(setting, kind).cost();
}

LayerCost embedding_cost(const LayerSetting& setting) {
  const double values = setting.divided_tokens() * real(setting.model.hidden);
  LayerCost cost;
  Kernels forward(setting);
  forward.moves(2 * kHalf * values);
  at(cost, PhaseId::EmbeddingF) = forward.take();
  Kernels backward(setting);
  backward.moves((kHalf + 2 * kFull) * values);
  at(cost, PhaseId::EmbeddingW) = backward.take();
  return cost;
}

LayerCost head_cost(const LayerSetting& setting) {
  const double tokens = setting.tokens();
  const double h = real(setting.model.hidden);
  const double columns = real(setting.model.vocabulary) / real(setting.parallel.tensor);
  const double logits = tokens * columns;
  LayerCost cost;
  Kernels forward(setting);
  forward.norm(setting.divided_tokens() * h);
  forward.half_product(tokens, h, columns, kHalf * (tokens * h + h * columns + logits));
  forward.moves((kHalf + kFull) * logits);  // into fp32
  forward.moves(kFull * logits);            // the loss
  at(cost, PhaseId::HeadF) = forward.take();
  Kernels input(setting);
  input.moves((kFull + kHalf) * logits);
  input.half_product(tokens, columns, h, kHalf * (tokens * h + h * columns + logits));
  input.norm_gradient(setting.divided_tokens() * h);
  at(cost, PhaseId::HeadB) = input.take();
  Kernels weights(setting);
  weights.half_weight_gradient(tokens, h, columns);
  at(cost, PhaseId::HeadW) = weights.take();
  return cost;
}

LayerCost prediction_cost(const LayerSetting& setting) {
  const double h = real(setting.model.hidden);
  const double values = setting.divided_tokens() * h;
  const Linear projection = {.rows = setting.divided_tokens(), .in = 2 * h, .out = h};
  LayerCost cost;
  Kernels forward(setting);
  forward.norm(2 * values);
  forward.forward(projection);
  at(cost, PhaseId::AttentionF) = forward.take();
  Kernels input(setting);
  input.input_gradient(projection);
  input.norm_gradient(2 * values);
  at(cost, PhaseId::AttentionB) = input.take();
  Kernels weights(setting);
  weights.weight_gradient(projection);
  at(cost, PhaseId::AttentionW) = weights.take();
  if (setting.training.recompute == Recompute::Full)
    at(cost, PhaseId::RecomputeAttention) = at(cost, PhaseId::AttentionF);
  return cost;
}

}  // namespace bubblescope

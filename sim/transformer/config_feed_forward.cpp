#include <fmt/format.h>

#include "sim/transformer/config_rules.h"

namespace bubblescope {
namespace {

/// The width of all shared experts of a layer together.
std::int64_t shared_width(ObjectReader& object, const Family& family, std::int64_t each) {
  const auto number =
      dimension(object, {"n_shared_experts", "num_shared_experts", "moe_num_shared_experts"}, 0);
  const auto width = dimension(object,
                               {"shared_expert_intermediate_size",
                                "moe_shared_expert_intermediate_size", "shared_intermediate_size"},
                               0);
  if (!number && !width && family.own_expert_width)
    object.fail(family.shared_gate ? "shared_expert_intermediate_size" : "n_shared_experts",
                "is missing");
  if (width && number.value_or(1) > 1 && family.type != "bailing_moe")
    object.fail("n_shared_experts",
                fmt::format("there are {} shared experts, and whether their width of {} is that of "
                            "one or of all is not known",
                            *number, *width));
  return width ? number.value_or(1) * *width : number.value_or(0) * each;
}

std::optional<Experts> read_experts(ObjectReader& object, const Family& family, bool bias) {
  const auto number = dimension(
      object, {"n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts"}, 0);
  if (number == 0)
    return std::nullopt;
  if (!number)
    object.fail("n_routed_experts", "is missing");
  Experts experts{.count = *number,
                  .each = {.gated = family.gated, .bias = bias},
                  .router_bias = flag_or(object, "use_routing_bias", family.router_bias)};
  experts.per_token = needed_dimension(object, {"num_experts_per_tok", "num_experts_per_token",
                                                "experts_per_token", "moe_k", "moe_top_k"});
  if (experts.per_token > *number)
    object.fail("num_experts_per_tok",
                fmt::format("is {}, and there are {} experts", experts.per_token, *number));
  const auto width = family.own_expert_width ? needed_dimension(object, {"moe_intermediate_size"})
                                             : dimension(object, {"moe_intermediate_size"});
  experts.each.width =
      width ? *width : needed_dimension(object, {"intermediate_size", "ffn_hidden_size"});
  if (family.shared_experts)
    experts.shared_width = shared_width(object, family, experts.each.width);
  if (family.type == "llama4_text")  // which has one, and no key for it
    experts.shared_width = experts.each.width;
  experts.shared_gate = family.shared_gate && experts.shared_width > 0;
  experts.latent_width = dimension(object, {"moe_latent_size"}).value_or(0);
  experts.groups = dimension(object, {"n_group", "num_expert_group"}).value_or(1);
  if (constexpr std::int64_t kMostGroups = 1024; experts.groups > kMostGroups)
    object.fail("n_group", fmt::format("expected 1 to {}, got {}", kMostGroups, experts.groups));
  experts.groups_per_token = dimension(object, {"topk_group"}).value_or(experts.groups);
  if (*number % experts.groups != 0)
    object.fail("n_group",
                fmt::format("{} groups do not divide the {} experts", experts.groups, *number));
  if (experts.per_token > experts.groups_per_token * (*number / experts.groups))
    object.fail("topk_group",
                fmt::format("{} of {} groups have fewer than {} experts", experts.groups_per_token,
                            experts.groups, experts.per_token));
  if (experts.groups_per_token > experts.groups)
    object.fail("topk_group",
                fmt::format("is {} of {} groups", experts.groups_per_token, experts.groups));
  return experts;
}

}  // namespace

FeedForwardRule::FeedForwardRule(const LayerConfig& config, bool use_bias, std::string_view letters)
    : config_(config) {
  ObjectReader& object = config.object;
  const Family& family = config.family;
  const bool bias = family.bias == AttentionBias::ByUseBias
                        ? use_bias
                        : flag_or(object, "mlp_bias", family.mlp_bias);
  const bool has_experts = family.mixing == Mixing::Pattern
                               ? letters.find('E') != std::string_view::npos
                               : family.experts != ExpertLayers::None;
  if (has_experts)
    experts_ = read_experts(object, family, bias);
  read_expert_layers();
  // A model whose layers all have experts may well tell of no MLP.
  const auto width = dimension(object, {"intermediate_size", "ffn_hidden_size"});
  const auto own =
      family.type == "llama4_text" ? dimension(object, {"intermediate_size_mlp"}) : std::nullopt;
  mlp_ = {.width = own.value_or(width.value_or(0)), .gated = family.gated, .bias = bias};
}

void FeedForwardRule::add_mlp(LayerKind& kind) const {
  if (mlp_.width == 0)
    config_.object.fail("intermediate_size", "is missing");
  kind.mlp = mlp_;
}

void FeedForwardRule::add(std::int64_t layer, LayerKind& kind) const {
  if (has_experts(layer))
    add_experts(kind);
  else
    add_mlp(kind);
}

void FeedForwardRule::read_expert_layers() {
  ObjectReader& object = config_.object;
  switch (config_.family.experts) {
    case ExpertLayers::None:
    case ExpertLayers::All:
      return;
    case ExpertLayers::BehindDense:
      first_ = dimension(object, {"first_k_dense_replace"}, 0).value_or(config_.family.first_dense);
      if (first_ > config_.depth)
        object.fail("first_k_dense_replace",
                    fmt::format("is {} of {} layers", first_, config_.depth));
      step_ = dimension(object, {"moe_layer_freq"}).value_or(1);
      types_ = config_.words("mlp_layer_types");
      return;
    case ExpertLayers::Steps:
      step_ = dimension(object, {"decoder_sparse_step"}).value_or(1);
      if (object.has("mlp_only_layers"))
        dense_ = object.integers("mlp_only_layers");
      check_listed(object, "mlp_only_layers", dense_, {0, config_.depth - 1});
      return;
    case ExpertLayers::Range:
      first_ = dimension(object, {"moe_layer_start_index"}, 0).value_or(1);
      last_ = dimension(object, {"moe_layer_end_index"}, 0).value_or(config_.depth - 1);
      step_ = dimension(object, {"moe_layer_interval"}).value_or(1);
      return;
    case ExpertLayers::Interleaved:
      step_ = dimension(object, {"interleave_moe_layer_step"}).value_or(1);
      if (object.has("moe_layers"))
        sparse_ = object.integers("moe_layers");
      check_listed(object, "moe_layers", sparse_, {0, config_.depth - 1});
      return;
    case ExpertLayers::Period:
      step_ = needed_dimension(object, {"expert_layer_period"});
      offset_ = needed_dimension(object, {"expert_layer_offset"}, 0);
      if (offset_ >= step_)
        object.fail("expert_layer_offset", fmt::format("is {} of {} layers", offset_, step_));
  }
}

bool FeedForwardRule::has_experts(std::int64_t i) const {
  if (!experts_)
    return false;
  switch (config_.family.experts) {
    case ExpertLayers::None:
      return false;
    case ExpertLayers::All:
      return true;
    case ExpertLayers::BehindDense:
      if (i < static_cast<std::int64_t>(types_.size())) {
        const std::string& type = types_[static_cast<std::size_t>(i)];
        if (type != "sparse" && type != "dense")
          config_.refuse_word("mlp_layer_types", type, "sparse or dense");
        return type == "sparse";
      }
      return i >= first_ && i % step_ == 0;
    case ExpertLayers::Steps:
      return (i + 1) % step_ == 0 && !is_listed(dense_, i);
    case ExpertLayers::Range:
      return i >= first_ && i <= last_ && (i + 1) % step_ == 0;
    case ExpertLayers::Interleaved:
      return sparse_.empty() ? (i + 1) % step_ == 0 : is_listed(sparse_, i);
    case ExpertLayers::Period:
      return i % step_ == offset_;
  }
  return false;
}

}  // namespace bubblescope

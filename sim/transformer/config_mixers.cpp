#include <algorithm>

#include <fmt/format.h>

#include "sim/transformer/config_rules.h"

namespace bubblescope {
namespace {

/// Keys, or groups, divide the heads.
void check_key_heads(const ObjectReader& object, const std::string& key, const Recurrence& mixer) {
  if (mixer.heads % mixer.key_heads != 0)
    object.fail(key, fmt::format("{} do not divide the {} heads", mixer.key_heads, mixer.heads));
}

Recurrence read_gated_delta(ObjectReader& object) {
  const Recurrence mixer = {.kind = Recurrence::Kind::GatedDelta,
                            .heads = needed_dimension(object, {"linear_num_value_heads"}),
                            .key_heads = needed_dimension(object, {"linear_num_key_heads"}),
                            .key_dim = needed_dimension(object, {"linear_key_head_dim"}),
                            .value_dim = needed_dimension(object, {"linear_value_head_dim"}),
                            .convolution = needed_dimension(object, {"linear_conv_kernel_dim"})};
  check_key_heads(object, "linear_num_key_heads", mixer);
  return mixer;
}

/// Mamba-2 under the names of Nemotron-H, or of Falcon-H1.
Recurrence read_mamba2(ObjectReader& object, std::int64_t hidden) {
  for (const char* key : {"mamba_proj_bias", "use_bias"})
    if (flag_or(object, key, false))
      object.fail(key, "expected false: biases of Mamba's matrices are not counted");
  Recurrence mixer{.kind = Recurrence::Kind::Mamba2,
                   .heads = needed_dimension(object, {"mamba_num_heads", "mamba_n_heads"}),
                   .key_heads = needed_dimension(object, {"n_groups", "mamba_n_groups"}),
                   .key_dim = needed_dimension(object, {"ssm_state_size", "mamba_d_state"}),
                   .value_dim = needed_dimension(object, {"mamba_head_dim", "mamba_d_head"}),
                   .convolution = needed_dimension(object, {"conv_kernel", "mamba_d_conv"}),
                   .convolution_bias =
                       flag_or(object, "use_conv_bias", flag_or(object, "mamba_conv_bias", true))};
  check_key_heads(object, object.has("n_groups") ? "n_groups" : "mamba_n_groups", mixer);
  // Nemotron-H has another key for the first, which its classes do not use.
  const auto expansion = dimension(object, {"mamba_expand"});
  const auto width = dimension(object, {"mamba_d_ssm"});
  if (width.value_or(expansion.value_or(0) * hidden) != mixer.value_width() && (width || expansion))
    object.fail(width ? "mamba_d_ssm" : "mamba_expand",
                fmt::format("expected the width of {} heads of {}", mixer.heads, mixer.value_dim));
  return mixer;
}

/// Mamba as Jamba has it.
Recurrence read_mamba(ObjectReader& object, std::int64_t hidden) {
  if (flag_or(object, "mamba_proj_bias", false))
    object.fail("mamba_proj_bias", "expected false: biases of Mamba's matrices are not counted");
  constexpr std::int64_t kRankDivisor = 16;
  return {
      .kind = Recurrence::Kind::Mamba,
      .heads = needed_dimension(object, {"mamba_expand"}) * hidden,
      .key_heads = 1,
      .key_dim = needed_dimension(object, {"mamba_d_state"}),
      .value_dim = 1,
      .convolution = needed_dimension(object, {"mamba_d_conv"}),
      .convolution_bias = flag_or(object, "mamba_conv_bias", true),
      .rank =
          dimension(object, {"mamba_dt_rank"}).value_or((hidden + kRankDivisor - 1) / kRankDivisor),
      .norms_steps = true};
}

}  // namespace

std::string pattern_letters(const LayerConfig& config, const std::string& text_key,
                            const std::string& list_key) {
  constexpr std::pair<std::string_view, char> kWords[] = {
      {"mamba", 'M'},     {"linear_attention", 'M'},
      {"attention", '*'}, {"full_attention", '*'},
      {"mlp", '-'},       {"moe", 'E'}};
  std::string letters;
  if (config.object.has(text_key)) {
    letters = config.object.text(text_key);
    if (const auto at = letters.find_first_not_of("M*-E"); at != std::string::npos)
      config.refuse_word(text_key, letters.substr(at, 1), "M, *, - and E");
  } else if (config.object.has(list_key)) {
    for (const std::string& word : config.object.words(list_key)) {
      const auto* found = std::find_if(std::begin(kWords), std::end(kWords),
                                       [&](const auto& each) { return each.first == word; });
      if (found == std::end(kWords))
        config.refuse_word(list_key, word, "mamba, attention, mlp or moe");
      letters += found->second;
    }
  }
  return letters;
}

MixerRule::MixerRule(const LayerConfig& config) : config_(config), attention_(config) {
  constexpr std::int64_t kInterval = 4;
  ObjectReader& object = config.object;
  switch (config.family.mixing) {
    case Mixing::Attention:
      return;
    case Mixing::GatedDelta:
      recurrence_ = read_gated_delta(object);
      interval_ = dimension(object, {"full_attention_interval"}).value_or(kInterval);
      return;
    case Mixing::Kimi:
      read_kimi();
      return;
    case Mixing::Pattern:
      letters_ = pattern_letters(config, "hybrid_override_pattern", "layers_block_type");
      if (letters_.empty())
        object.fail("hybrid_override_pattern", "is missing");
      config.check_length(
          object.has("hybrid_override_pattern") ? "hybrid_override_pattern" : "layers_block_type",
          letters_.size());
      if (letters_.find('M') != std::string::npos)
        recurrence_ = read_mamba2(object, config.hidden);
      return;
    case Mixing::Period:
      recurrence_ = read_mamba(object, config.hidden);
      interval_ = needed_dimension(object, {"attn_layer_period"});
      offset_ = needed_dimension(object, {"attn_layer_offset"}, 0);
      if (offset_ >= interval_)
        object.fail("attn_layer_offset", fmt::format("is {} of {} layers", offset_, interval_));
      return;
    case Mixing::Beside:
      recurrence_ = read_mamba2(object, config.hidden);
      recurrence_.norms_output = flag_or(object, "mamba_rms_norm", false);
      return;
    case Mixing::Lightning:
      recurrence_ = {.kind = Recurrence::Kind::Lightning,
                     .heads = attention().heads,
                     .key_heads = attention().heads,
                     .key_dim = attention().key_dim,
                     .value_dim = attention().value_dim};
      lightning_ = config.numbers("attn_type_list");
      if (std::any_of(lightning_.begin(), lightning_.end(), [](auto type) { return type > 1; }))
        object.fail("attn_type_list", "expected 0 (lightning) or 1 (attention) for each layer");
      if (lightning_.empty() && !attention_.has_types() && config.family.type != "minimax")
        object.fail("attn_type_list", "is missing");
  }
}

void MixerRule::read_kimi() {
  ObjectReader linear = config_.object.object("linear_attn_config");
  const std::int64_t dim = needed_dimension(linear, {"head_dim"});
  const std::int64_t heads = needed_dimension(linear, {"num_heads"});
  recurrence_ = {.kind = Recurrence::Kind::KimiDelta,
                 .heads = heads,
                 .key_heads = heads,
                 .key_dim = dim,
                 .value_dim = dim,
                 .convolution = needed_dimension(linear, {"short_conv_kernel_size"}),
                 .rank = dim};
  kimi_ = linear.integers("kda_layers");
  const std::vector<std::int64_t> full = linear.integers("full_attn_layers");
  check_listed(linear, "kda_layers", kimi_, {1, config_.depth});
  for (std::int64_t i = 1; i <= config_.depth; ++i)
    if (is_listed(kimi_, i) == is_listed(full, i))
      linear.fail("kda_layers", fmt::format("layer {} is expected here or in full_attn_layers, "
                                            "and not in both",
                                            i));
  linear.finish();
}

bool MixerRule::is_recurrent(std::int64_t layer) const {
  const std::string_view word = attention_.type(layer);
  switch (config_.family.mixing) {
    case Mixing::GatedDelta:
      return attention_.has_types() ? word == "linear_attention"
                                    : layer < config_.depth && (layer + 1) % interval_ != 0;
    case Mixing::Kimi:
      return is_listed(kimi_, layer + 1);
    case Mixing::Period:
      return layer % interval_ != offset_;
    case Mixing::Lightning:
      if (attention_.has_types() || layer >= config_.depth)
        return word == "linear_attention";
      return lightning_.empty() ? layer % 2 == 1 : lightning_[static_cast<std::size_t>(layer)] == 0;
    default:
      return false;
  }
}

std::vector<Mixer> MixerRule::at(std::int64_t layer) const {
  if (config_.family.mixing == Mixing::Beside)
    return {attention_.at(layer), recurrence_};
  if (is_recurrent(layer))
    return {recurrence_};
  return {attention_.at(layer)};
}

std::vector<Mixer> MixerRule::of_letters(std::string_view letters) const {
  std::vector<Mixer> mixers;
  for (const char letter : letters) {
    if (letter == 'M')
      mixers.emplace_back(recurrence_);
    if (letter == '*')
      mixers.emplace_back(attention());
  }
  return mixers;
}

}  // namespace bubblescope

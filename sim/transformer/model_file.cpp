#include "sim/transformer/model_file.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/files.h"
#include "sim/base/json_input.h"
#include "sim/base/nearest.h"
#include "sim/base/printable.h"
#include "sim/transformer/analytic_units.h"
#include "sim/transformer/config_json.h"
#include "sim/transformer/config_keys.h"
#include "sim/transformer/config_layers.h"
#include "sim/transformer/parameters.h"

namespace bubblescope {
namespace {

constexpr std::string_view kModelFormat = "bubblescope-model/1";
constexpr std::size_t kMostModelBytes = std::size_t{8} << 20;

/// SwiGLU and its like have a gate; GELU and ReLU as GPT uses them have none.
bool is_gated(ObjectReader& object) {
  if (!object.has("hidden_act"))
    return true;
  const std::string name = object.text("hidden_act");
  if (name == "silu" || name == "swiglu" || name == "geglu")
    return true;
  if (!name.starts_with("gelu") && !name.starts_with("relu"))
    object.fail("hidden_act", fmt::format("expected silu, swiglu, geglu, gelu or relu, got \"{}\"",
                                          name.substr(0, 40)));
  return false;
}

/// A family as the keys of Bubblescope's format tell it.
Family own_family(ObjectReader& object) {
  Family family;
  family.shared_experts = true;
  family.gated = is_gated(object);
  family.norm_bias = flag_or(object, "mlp_bias", false);
  if (flag_or(object, "query_key_norm", false))
    family.norm = Attention::Norm::Head;
  if (dimension(object, {"n_routed_experts", "num_local_experts", "num_experts"}, 0).value_or(0) >
      0)
    family.experts = ExpertLayers::BehindDense;
  else
    for (const char* key : {"num_experts_per_tok", "moe_intermediate_size", "n_shared_experts",
                            "first_k_dense_replace", "n_group", "topk_group"})
      if (object.has(key))
        object.fail(key, "is about experts, whose number n_routed_experts does not give");
  return family;
}

void read_positions(ObjectReader& object, Model& model) {
  const auto positions = dimension(object, {"max_position_embeddings"});
  if (!flag_or(object, "learned_positions", false))
    return;
  if (!positions)
    object.fail("learned_positions", "needs max_position_embeddings beside it");
  model.learned_positions = *positions;
}

/// Keys of Bubblescope's format; a config.json has others that mean the same, or more.
constexpr std::string_view kOwnKeys[] = {"format",
                                         "name",
                                         "source",
                                         "hidden_size",
                                         "num_hidden_layers",
                                         "num_attention_heads",
                                         "num_key_value_heads",
                                         "head_dim",
                                         "q_lora_rank",
                                         "kv_lora_rank",
                                         "qk_nope_head_dim",
                                         "qk_rope_head_dim",
                                         "v_head_dim",
                                         "intermediate_size",
                                         "hidden_act",
                                         "attention_bias",
                                         "mlp_bias",
                                         "query_key_norm",
                                         "dropout",
                                         "max_position_embeddings",
                                         "learned_positions",
                                         "n_routed_experts",
                                         "num_local_experts",
                                         "num_experts",
                                         "num_experts_per_tok",
                                         "moe_intermediate_size",
                                         "n_shared_experts",
                                         "shared_expert_intermediate_size",
                                         "first_k_dense_replace",
                                         "n_group",
                                         "topk_group",
                                         "vocab_size",
                                         "tie_word_embeddings",
                                         "num_nextn_predict_layers"};

void refuse_other_keys(const ObjectReader& object, const nlohmann::json& json) {
  const std::vector<std::string> known(std::begin(kOwnKeys), std::end(kOwnKeys));
  for (const auto& [key, value] : json.items())
    if (!key.starts_with('_') && std::find(known.begin(), known.end(), key) == known.end())
      object.fail(key, "unknown key" + did_you_mean(key, known));
}

/// The keys of config.json beside the format's own name and source.
Model read_uniform(ObjectReader& object) {
  Model model;
  model.hidden = needed_dimension(object, {"hidden_size"});
  model.vocabulary = needed_dimension(object, {"vocab_size"});
  model.tied_embeddings = flag_or(object, "tie_word_embeddings", false);
  model.dropout = flag_or(object, "dropout", false);
  const Family family = own_family(object);
  model.norm_bias = family.norm_bias;
  read_positions(object, model);
  read_layers(object, family, model);
  return model;
}

Model read_own(const nlohmann::json& json, ObjectReader& object, const std::string& file,
               std::span<const std::string> ignored) {
  if (const std::string format = object.text("format"); format != kModelFormat)
    object.fail("format", fmt::format("expected \"{}\", got \"{}\"", kModelFormat, format));
  const std::string name = printable_name(object.text("name"));
  const std::string source = object.text("source");
  Model model;
  if (object.has("config")) {
    object.skip("config");
    model = read_config_json(json.at("config"), {file, "/config"}, ignored);
    object.finish();
  } else {
    refuse_other_keys(object, json);
    model = read_uniform(object);
  }
  model.name = name;
  model.description = source;
  return model;
}

/// Refuses what would not fit 64 bits; the real ones have 10¹² parameters.
void check_size(const ObjectReader& object, const Model& model) {
  constexpr double kMostState = 1e12;
  const auto fail = [&] { object.fail("hidden_size", "the model has more than 1e16 parameters"); };
  for (const LayerKind& kind : model.kinds)
    for (const Mixer& mixer : kind.mixers)
      if (const auto* state = std::get_if<Recurrence>(&mixer);
          state != nullptr && real(state->heads) *
                                      real(std::max(state->key_dim, state->key_heads)) *
                                      real(std::max(state->value_dim, state->key_dim)) >
                                  kMostState)
        fail();
  constexpr double kMost = 1e16;
  double sum = embedding_parameters(model, {}) + head_parameters(model, {});
  for (const auto& layers : {model.layers, model.predictions})
    for (const std::uint8_t kind : layers)
      sum += layer_parameters(model, model.kinds[kind], {}).sum();
  if (!(sum <= kMost))
    fail();
}

}  // namespace

Model parse_model(std::string_view text, const std::string& file,
                  std::span<const std::string> ignored) {
  const nlohmann::json json = parse_json(quote_python_numbers(text), file);
  ObjectReader object(json, {file, ""});
  const bool is_own = object.has("format");
  if (is_own && !object.has("config") && !ignored.empty())
    object.fail(ignored.front(), "every key is read here: a config.json alone has some to ignore");
  Model model =
      is_own ? read_own(json, object, file, ignored) : read_config_json(json, {file, ""}, ignored);
  if (!is_own)
    model.description = file;
  model.ignored_keys.insert(model.ignored_keys.end(), ignored.begin(), ignored.end());
  check_size(object, model);
  return model;
}

Model read_model(const std::string& path, std::span<const std::string> ignored) {
  return parse_model(read_file(path, kMostModelBytes), path, ignored);
}

}  // namespace bubblescope

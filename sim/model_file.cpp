#include "sim/model_file.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "sim/error.h"
#include "sim/json_input.h"
#include "sim/printable.h"

namespace bubblescope {
namespace {

constexpr std::string_view kModelFormat = "bubblescope-model/1";
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::int64_t kLargest = 10'000'000;  // of a dimension

/// A dimension, which none of the real ones reaches.
std::optional<std::int64_t> optional_count(ObjectReader& object, const std::string& key,
                                           std::int64_t least) {
  const auto value = object.optional_integer(key);
  if (value && (*value < least || *value > kLargest))
    object.fail(key, fmt::format("expected {} to {}, got {}", least, kLargest, *value));
  return value;
}

std::int64_t count(ObjectReader& object, const std::string& key) {
  const auto value = optional_count(object, key, 1);
  if (!value)
    object.fail(key, "is missing");
  return *value;
}

bool flag(ObjectReader& object, const std::string& key) {
  return object.has(key) && object.flag(key);
}

/// The number of experts goes by three names.
std::optional<std::int64_t> expert_count(ObjectReader& object) {
  std::optional<std::int64_t> result;
  for (const char* key : {"n_routed_experts", "num_local_experts", "num_experts"})
    if (const auto value = optional_count(object, key, 0)) {
      if (result)
        object.fail(key, "the number of experts is given under another name too");
      result = value;
    }
  return result == 0 ? std::nullopt : result;
}

void read_attention(ObjectReader& object, Model& model) {
  model.heads = count(object, "num_attention_heads");
  model.key_value_heads = optional_count(object, "num_key_value_heads", 1).value_or(model.heads);
  if (model.heads % model.key_value_heads != 0)
    object.fail("num_key_value_heads",
                fmt::format("{} does not divide the {} heads", model.key_value_heads, model.heads));
  model.attention_bias = flag(object, "attention_bias");
  const auto head_dim = optional_count(object, "head_dim", 1);
  const auto rank = optional_count(object, "kv_lora_rank", 1);
  for (const char* key : {"q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"})
    if (!rank && object.has(key))
      object.fail(key, "is of multi-head latent attention and needs kv_lora_rank beside it");
  if (rank) {
    LatentAttention latent{.query_rank = optional_count(object, "q_lora_rank", 0).value_or(0),
                           .key_value_rank = *rank,
                           .nope_dim = count(object, "qk_nope_head_dim"),
                           .rope_dim = count(object, "qk_rope_head_dim")};
    model.key_dim = latent.nope_dim + latent.rope_dim;
    model.value_dim = count(object, "v_head_dim");
    model.key_value_heads = model.heads;
    model.latent = latent;
    return;
  }
  if (!head_dim && model.hidden % model.heads != 0)
    object.fail("num_attention_heads",
                fmt::format("{} heads do not divide hidden_size {}, and there is no head_dim",
                            model.heads, model.hidden));
  model.key_dim = model.value_dim = head_dim.value_or(model.hidden / model.heads);
}

Experts read_experts(ObjectReader& object, std::int64_t number, const Model& model) {
  Experts experts{.count = number};
  experts.per_token = count(object, "num_experts_per_tok");
  if (experts.per_token > number)
    object.fail("num_experts_per_tok",
                fmt::format("is {}, and there are {} experts", experts.per_token, number));
  experts.width = optional_count(object, "moe_intermediate_size", 1).value_or(model.mlp_width);
  experts.shared_width = optional_count(object, "n_shared_experts", 0).value_or(0) * experts.width;
  if (const auto width = optional_count(object, "shared_expert_intermediate_size", 0))
    experts.shared_width = *width;
  experts.first_dense = optional_count(object, "first_k_dense_replace", 0).value_or(0);
  if (experts.first_dense > model.layers)
    object.fail("first_k_dense_replace",
                fmt::format("is {} of {} layers", experts.first_dense, model.layers));
  experts.groups = optional_count(object, "n_group", 1).value_or(1);
  if (constexpr std::int64_t kMostGroups = 1024; experts.groups > kMostGroups)
    object.fail("n_group", fmt::format("expected 1 to {}, got {}", kMostGroups, experts.groups));
  experts.groups_per_token = optional_count(object, "topk_group", 1).value_or(experts.groups);
  if (number % experts.groups != 0)
    object.fail("n_group",
                fmt::format("{} groups do not divide the {} experts", experts.groups, number));
  if (experts.groups_per_token > experts.groups)
    object.fail("topk_group",
                fmt::format("is {} of {} groups", experts.groups_per_token, experts.groups));
  return experts;
}

void refuse_expert_keys(ObjectReader& object) {
  for (const char* key : {"num_experts_per_tok", "moe_intermediate_size", "n_shared_experts",
                          "first_k_dense_replace", "n_group", "topk_group"})
    if (object.has(key))
      object.fail(key, "is of experts, of which n_routed_experts has to tell the number");
}

/// SwiGLU and its like have a gate; GELU and ReLU as GPT uses them have none, as Gemma does one.
bool is_gated(ObjectReader& object, bool is_gemma) {
  const char* key = is_gemma && !object.has("hidden_act") ? "hidden_activation" : "hidden_act";
  if (!object.has(key))
    return true;
  const std::string name = object.text(key);
  if (name == "silu" || name == "swiglu" || name == "geglu")
    return true;
  if (name.starts_with("gelu") || name.starts_with("relu"))
    return is_gemma;
  object.fail(key, fmt::format("expected silu, swiglu, geglu, gelu or relu, got \"{}\"",
                               name.substr(0, 40)));
}

/// What of a config.json makes layers differ in ways that a Model does not tell.
void refuse_other_layers(ObjectReader& object) {
  for (const char* key : {"decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step"})
    if (object.has(key) && object.integer(key) != 1)
      object.fail(key, "expected 1: beyond first_k_dense_replace all layers are taken to be alike");
  if (object.has("mlp_only_layers") && !object.integers("mlp_only_layers").empty())
    object.fail("mlp_only_layers",
                "expected none: layers without experts are those of first_k_dense_replace");
  if (object.has("layer_types"))
    for (const std::string& type : object.words("layer_types"))
      if (type != "full_attention" && type != "sliding_attention")
        object.fail("layer_types", fmt::format("expected full_attention or sliding_attention, got "
                                               "\"{}\"",
                                               type.substr(0, 40)));
}

/// In tokens; 0 where no layer has one.
std::int64_t attention_window(ObjectReader& object) {
  if (object.has("use_sliding_window") && !object.flag("use_sliding_window"))
    return 0;
  return optional_count(object, "sliding_window", 1).value_or(0);
}

/// Refuses what would not fit 64 bits; the real ones have 10¹² parameters.
void check_size(const ObjectReader& object, const Model& model) {
  constexpr double kMost = 1e16;
  const auto real = [](std::int64_t value) { return static_cast<double>(value); };
  const double width = real(std::max(model.mlp_width, model.experts ? model.experts->width : 0)) +
                       real(model.experts ? model.experts->shared_width : 0) +
                       real(model.heads) * real(model.key_dim + model.value_dim) +
                       real(model.latent ? model.latent->query_rank : 0);
  const double experts = model.experts ? real(model.experts->count) : 1;
  const double rank = model.latent ? real(model.latent->query_rank) + 1 : 1;
  const double rows = std::max(real(model.hidden), rank);
  if (4 * rows * width * experts * real(model.layers + model.prediction_layers) > kMost ||
      rows * real(model.vocabulary + model.learned_positions) > kMost)
    object.fail("hidden_size", "the model has more than 1e16 parameters");
}

Model read(ObjectReader& object, bool is_own) {
  Model model;
  model.hidden = count(object, "hidden_size");
  model.layers = count(object, "num_hidden_layers");
  constexpr std::int64_t kMostLayers = 10'000;
  if (model.layers > kMostLayers)
    object.fail("num_hidden_layers", fmt::format("expected 1 to {}", kMostLayers));
  model.mlp_width = count(object, "intermediate_size");
  model.vocabulary = count(object, "vocab_size");
  // Where nothing is said, Gemma's head is its embedding.
  const bool is_gemma =
      !is_own && object.has("model_type") && object.text("model_type").starts_with("gemma");
  model.gated = is_gated(object, is_gemma);
  model.mlp_bias = flag(object, "mlp_bias");
  model.tied_embeddings =
      object.has("tie_word_embeddings") ? object.flag("tie_word_embeddings") : is_gemma;
  model.prediction_layers = optional_count(object, "num_nextn_predict_layers", 0).value_or(0);
  const auto positions = optional_count(object, "max_position_embeddings", 1);
  if (is_own) {
    model.dropout = flag(object, "dropout");
    model.query_key_norm = flag(object, "query_key_norm");
    if (flag(object, "learned_positions")) {
      if (!positions)
        object.fail("learned_positions", "needs max_position_embeddings beside it");
      model.learned_positions = *positions;
    }
  } else {
    refuse_other_layers(object);
    model.attention_window = attention_window(object);
  }
  read_attention(object, model);
  if (const auto experts = expert_count(object))
    model.experts = read_experts(object, *experts, model);
  else if (is_own)
    refuse_expert_keys(object);
  check_size(object, model);
  return model;
}

}  // namespace

Model parse_model(std::string_view text, const std::string& file) {
  nlohmann::json json = parse_json(text, file);
  const bool is_own = json.is_object() && json.contains("format");
  if (!is_own && json.is_object())  // where a Python object has no value
    for (auto each = json.begin(); each != json.end();)
      each = each->is_null() ? json.erase(each) : std::next(each);
  ObjectReader object(json, {file, ""});
  if (!is_own) {
    if (!object.has("hidden_size") && object.has("n_embd"))
      object.fail("n_embd",
                  "is of GPT-2's family, whose keys are not read: write them as those of "
                  "data/models/gpt3-175b.json");
    if (!object.has("hidden_size") && object.has("text_config"))
      object.fail("text_config",
                  "is of a model of several media, which are not read: its text model "
                  "can be given as a file of its own");
    if (!object.has("hidden_size"))
      object.fail("hidden_size", fmt::format("is missing: expected format \"{}\", or a config.json",
                                             kModelFormat));
    Model model = read(object, false);
    model.name =
        object.has("model_type") ? printable_name(object.text("model_type")) : "config.json";
    model.description = file;
    return model;
  }
  if (const std::string format = object.text("format"); format != kModelFormat)
    object.fail("format", fmt::format("expected \"{}\", got \"{}\"", kModelFormat, format));
  const std::string name = printable_name(object.text("name"));
  const std::string source = object.text("source");
  Model model = read(object, true);
  model.name = name;
  model.description = source;
  object.finish();
  return model;
}

Model read_model(const std::string& path) {
  return parse_model(read_file(path, kMaxFileBytes), path);
}

}  // namespace bubblescope

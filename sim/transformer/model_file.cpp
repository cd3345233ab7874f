#include "sim/transformer/model_file.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/base/nearest.h"
#include "sim/base/printable.h"
#include "sim/transformer/config_keys.h"
#include "sim/transformer/model_families.h"

namespace bubblescope {
namespace {

constexpr std::string_view kModelFormat = "bubblescope-model/1";
constexpr std::size_t kMostModelBytes = std::size_t{1} << 20;
constexpr std::int64_t kLargest = 10'000'000;  // of a dimension
constexpr std::int64_t kMostLayers = 10'000;

/// A dimension, which none of the real ones reaches.
std::optional<std::int64_t> optional_count(ObjectReader& object, const std::string& key,
                                           std::int64_t least) {
  const auto value = object.optional_integer(key);
  if (value && (*value < least || *value > kLargest))
    object.fail(key, fmt::format("expected {} to {}, got {}", least, kLargest, *value));
  return value;
}

bool flag(ObjectReader& object, const std::string& key) {
  return object.has(key) && object.flag(key);
}

/// Bubblescope's format, and no config.json.
bool is_own(const ObjectReader& object) {
  return object.has("format");
}

/// In a config.json a key has other names too, by the model's family.
constexpr std::pair<std::string_view, const char*> kOtherNames[] = {
    {"num_hidden_layers", "num_layers"},
    {"num_hidden_layers", "n_layers"},
    {"num_attention_heads", "n_heads"},
    {"sliding_window", "sliding_window_size"},
    {"n_routed_experts", "moe_num_experts"},
    {"num_experts_per_tok", "num_experts_per_token"},
    {"num_experts_per_tok", "experts_per_token"},
    {"num_experts_per_tok", "moe_k"},
    {"n_shared_experts", "num_shared_experts"},
    {"n_shared_experts", "moe_num_shared_experts"},
    {"shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"},
    {"shared_expert_intermediate_size", "shared_intermediate_size"},
    {"first_k_dense_replace", "moe_layer_start_index"},
    {"num_nextn_predict_layers", "num_mtp_modules"}};

/// A number under any of `keys` or of their other names, which all have to give the same.
std::optional<std::int64_t> count_under(ObjectReader& object, std::vector<const char*> keys,
                                        std::int64_t least) {
  const std::string_view own = keys.front();
  for (const auto& [key, other] : kOtherNames)
    if (key == own && !is_own(object))
      keys.push_back(other);
  std::optional<std::int64_t> result;
  const char* first = nullptr;
  for (const char* key : keys)
    if (const auto value = optional_count(object, key, least)) {
      if (result && *result != *value)
        object.fail(key, fmt::format("is {}, and {} is {}", *value, first, *result));
      result = value;
      first = key;
    }
  return result;
}

std::int64_t count(ObjectReader& object, const char* key) {
  const auto value = count_under(object, {key}, 1);
  if (!value)
    object.fail(key, "is missing");
  return *value;
}

std::string model_type(ObjectReader& object) {
  return !is_own(object) && object.has("model_type") ? object.text("model_type") : "";
}

/// The number of experts; none for a dense model.
std::optional<std::int64_t> expert_count(ObjectReader& object) {
  const auto number =
      count_under(object, {"n_routed_experts", "num_local_experts", "num_experts"}, 0);
  return number == 0 ? std::nullopt : number;
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

/// The width of all shared experts of a layer together.
std::int64_t shared_width(ObjectReader& object, const Experts& experts) {
  const std::int64_t each = experts.width;
  const auto number = count_under(object, {"n_shared_experts"}, 0);
  const auto width = count_under(object, {"shared_expert_intermediate_size"}, 0);
  if (width && number.value_or(1) > 1)
    object.fail("n_shared_experts",
                fmt::format("there are {} shared experts, and whether their width of {} is that of "
                            "one or of all is not known",
                            *number, *width));
  if (model_type(object).starts_with("llama4"))  // which has one, and no key for it
    return each;
  return width ? number.value_or(1) * *width : number.value_or(0) * each;
}

Experts read_experts(ObjectReader& object, std::int64_t number, const Model& model) {
  Experts experts{.count = number};
  experts.per_token = count(object, "num_experts_per_tok");
  if (experts.per_token > number)
    object.fail("num_experts_per_tok",
                fmt::format("is {}, and there are {} experts", experts.per_token, number));
  experts.width = optional_count(object, "moe_intermediate_size", 1).value_or(model.mlp_width);
  experts.shared_width = shared_width(object, experts);
  experts.first_dense = count_under(object, {"first_k_dense_replace"}, 0).value_or(0);
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
      object.fail(key, "is about experts, whose number n_routed_experts does not give");
}

/// SwiGLU and its like have a gate; GELU and ReLU as GPT uses them have none, as Gemma does one.
bool is_gated(ObjectReader& object) {
  const std::string type = model_type(object);
  const bool is_gemma = type.starts_with("gemma");
  constexpr const char* kOther = "hidden_activation";  // in a config.json
  const bool has_other = !is_own(object) && object.has(kOther);
  const char* key = has_other && !object.has("hidden_act") ? kOther : "hidden_act";
  if (!object.has(key))
    return true;
  const std::string name = object.text(key);
  if (has_other && object.text(kOther) != name)
    object.fail(kOther, fmt::format("expected \"{}\", as hidden_act is", name.substr(0, 40)));
  if (name == "silu" || name == "swiglu" || name == "geglu")
    return true;
  if (!name.starts_with("gelu") && !name.starts_with("relu"))
    object.fail(key, fmt::format("expected silu, swiglu, geglu, gelu or relu, got \"{}\"",
                                 name.substr(0, 40)));
  if (!type.empty() && !is_gemma && !has_no_gate(type))
    object.fail(key,
                fmt::format("whether the {} of model_type {} has a gate is not known: expected "
                            "silu, swiglu or geglu; --ignore-key {} reads an MLP with a gate",
                            name.substr(0, 40), printable_name(type), key));
  return is_gemma;
}

/// In tokens; 0 where no layer has one. Attention to chunks is that of a window up to its size.
std::int64_t attention_window(ObjectReader& object) {
  const auto sliding = count_under(object, {"sliding_window"}, 1);
  const auto chunk = optional_count(object, "attention_chunk_size", 1);
  const bool slides = !object.has("use_sliding_window") || object.flag("use_sliding_window");
  const std::int64_t window = slides ? sliding.value_or(0) : 0;
  return window > 0 && chunk ? std::min(window, *chunk) : chunk.value_or(window);
}

/// Layers of multi-token prediction.
std::int64_t prediction_layers(ObjectReader& object) {
  const std::int64_t number = count_under(object, {"num_nextn_predict_layers"}, 0).value_or(0);
  if (number > kMostLayers)
    object.fail("num_nextn_predict_layers",
                fmt::format("expected 0 to {}, got {}", kMostLayers, number));
  if (is_own(object))
    return number;
  if (object.has("mtp_transformer_layers") && object.integer("mtp_transformer_layers") != 1)
    object.fail("mtp_transformer_layers", "expected 1 in each module of multi-token prediction");
  return object.has("use_mtp") && !object.flag("use_mtp") ? 0 : number;
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

/// Keys that Bubblescope's format alone has.
void read_own_keys(ObjectReader& object, Model& model) {
  model.dropout = flag(object, "dropout");
  model.query_key_norm = flag(object, "query_key_norm");
  const auto positions = optional_count(object, "max_position_embeddings", 1);
  if (!flag(object, "learned_positions"))
    return;
  if (!positions)
    object.fail("learned_positions", "needs max_position_embeddings beside it");
  model.learned_positions = *positions;
}

/// Whether the embedding is the head too.
bool is_tied(ObjectReader& object) {
  constexpr const char* kKey = "tie_word_embeddings";
  const auto tied = object.has(kKey) ? object.flag(kKey) : tied_by_default(model_type(object));
  if (!tied)
    object.fail(kKey, "is missing, and models of this model_type differ in it");
  return *tied;
}

Model read(ObjectReader& object) {
  Model model;
  model.hidden = count(object, "hidden_size");
  model.layers = count(object, "num_hidden_layers");
  if (model.layers > kMostLayers)
    object.fail("num_hidden_layers",
                fmt::format("expected 1 to {}, got {}", kMostLayers, model.layers));
  model.mlp_width = count(object, "intermediate_size");
  model.vocabulary = count(object, "vocab_size");
  model.gated = is_gated(object);
  model.mlp_bias = flag(object, "mlp_bias");
  model.tied_embeddings = is_tied(object);
  model.prediction_layers = prediction_layers(object);
  if (is_own(object)) {
    read_own_keys(object, model);
  } else {
    refuse_other_layers(object, model.layers);
    model.attention_window = attention_window(object);
  }
  read_attention(object, model);
  if (const auto experts = expert_count(object))
    model.experts = read_experts(object, *experts, model);
  else if (is_own(object))
    refuse_expert_keys(object);
  if (model_type(object).starts_with("llama4"))
    model.mlp_width = optional_count(object, "intermediate_size_mlp", 1).value_or(model.mlp_width);
  check_size(object, model);
  return model;
}

Model read_own(ObjectReader& object) {
  if (const std::string format = object.text("format"); format != kModelFormat)
    object.fail("format", fmt::format("expected \"{}\", got \"{}\"", kModelFormat, format));
  const std::string name = printable_name(object.text("name"));
  const std::string source = object.text("source");
  Model model = read(object);
  model.name = name;
  model.description = source;
  object.finish();
  return model;
}

/// Takes away keys without a value, as a Python object has them, and those of `ignored`.
void clear(nlohmann::json& config, std::span<const std::string> ignored) {
  if (!config.is_object())
    return;
  for (auto each = config.begin(); each != config.end();) {
    const bool goes =
        each->is_null() || std::find(ignored.begin(), ignored.end(), each.key()) != ignored.end();
    each = goes ? config.erase(each) : std::next(each);
  }
}

/// The key of the text model in the config.json of a multimodal one.
std::optional<std::string> text_part(const nlohmann::json& config) {
  for (const char* key : {"text_config", "llm_config", "language_config"})
    if (config.contains(key))
      return key;
  return std::nullopt;
}

/// A key that is not there cannot be ignored.
void check_ignored(const nlohmann::json& config, const ObjectReader& object,
                   std::span<const std::string> ignored) {
  const auto part = text_part(config);
  std::vector<std::string> keys;
  for (const nlohmann::json* each : {&config, part ? &config.at(*part) : &config})
    if (each->is_object())
      for (const auto& [key, value] : each->items())
        keys.push_back(key);
  for (const std::string& key : ignored)
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      object.fail(key, "is not there to be ignored" + did_you_mean(key, keys));
}

Model read_config(const nlohmann::json& config, ObjectReader object, const std::string& file) {
  if (!object.has("hidden_size") && object.has("n_embd"))
    object.fail("n_embd",
                "is of GPT-2's family, whose keys are not read: write them as those of "
                "data/models/gpt3-175b.json");
  if (!object.has("hidden_size"))
    object.fail("hidden_size",
                fmt::format("is missing: expected format \"{}\", or a config.json", kModelFormat));
  refuse_encoder(object);
  Model model = read(object);
  refuse_unread_keys(object, config, model.layers);
  const std::string type = model_type(object);
  model.name = type.empty() ? "config.json" : printable_name(type);
  model.description = file;
  for (const char* key : {"vision_config", "audio_config"})
    if (object.has(key))
      model.note = fmt::format("{}: {} is left out: the text model alone is read", file, key);
  return model;
}

/// The text model of a multimodal one; the file may tell of its head beside it.
Model read_text_part(nlohmann::json& config, const std::string& part, const std::string& file) {
  constexpr const char* kTied = "tie_word_embeddings";
  ObjectReader whole(config, {file, ""});
  whole.object(part);  // has to be one
  if (flag(whole, "is_encoder_decoder"))
    whole.fail("is_encoder_decoder", "expected false: encoders are not read");
  nlohmann::json& text = config[part];
  if (config.contains(kTied) && !text.contains(kTied))
    text[kTied] = config[kTied];
  Model model = read_config(text, {text, {file, "/" + part}}, file);
  if (model.tied_embeddings != (whole.has(kTied) ? whole.flag(kTied) : model.tied_embeddings))
    whole.fail(kTied, fmt::format("is not what {} says", part));
  model.note = fmt::format(
      "{}: {} alone is read: what the model has beside text (vision, audio) is left out", file,
      part);
  return model;
}

}  // namespace

Model parse_model(std::string_view text, const std::string& file,
                  std::span<const std::string> ignored) {
  nlohmann::json json = parse_json(quote_python_numbers(text), file);
  ObjectReader object(json, {file, ""});
  if (is_own(object)) {
    if (!ignored.empty())
      object.fail(ignored.front(),
                  "every key is read here: a config.json alone has some to ignore");
    return read_own(object);
  }
  check_ignored(json, object, ignored);
  clear(json, ignored);
  const auto part = text_part(json);
  if (!part)
    return read_config(json, object, file);
  clear(json[*part], ignored);
  return read_text_part(json, *part, file);
}

Model read_model(const std::string& path, std::span<const std::string> ignored) {
  return parse_model(read_file(path, kMostModelBytes), path, ignored);
}

}  // namespace bubblescope

#include "sim/transformer/config_json.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"
#include "sim/base/printable.h"
#include "sim/transformer/config_keys.h"
#include "sim/transformer/config_layers.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr const char* kTied = "tie_word_embeddings";

/// Takes away keys without a value, as a Python object has them, and those of `ignored`.
void clear(json& config, std::span<const std::string> ignored) {
  if (!config.is_object())
    return;
  for (auto each = config.begin(); each != config.end();) {
    // These say something by having no value: no compression, no window.
    if ((each.key() == "q_lora_rank" || each.key() == "sliding_window") && each->is_null())
      *each = 0;
    const bool goes =
        each->is_null() || std::find(ignored.begin(), ignored.end(), each.key()) != ignored.end();
    each = goes ? config.erase(each) : std::next(each);
  }
}

/// The key of the text model in the config.json of a multimodal one.
std::optional<std::string> text_part(const json& config) {
  for (const char* key : {"text_config", "llm_config", "language_config"})
    if (config.contains(key))
      return key;
  return std::nullopt;
}

/// A key that is not there cannot be ignored.
void check_ignored(const json& config, const ObjectReader& object,
                   std::span<const std::string> ignored) {
  const auto part = text_part(config);
  std::vector<std::string> keys;
  for (const json* each : {&config, part ? &config.at(*part) : &config})
    if (each->is_object())
      for (const auto& [key, value] : each->items())
        keys.push_back(key);
  for (const std::string& key : ignored)
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      object.fail(key, "is not there to be ignored" + did_you_mean(key, keys));
}

/// DBRX has its layers' keys in two objects.
void flatten(json& config, const ObjectReader& object) {
  for (const char* part : {"attn_config", "ffn_config"}) {
    if (!config.contains(part) || !config[part].is_object())
      continue;
    const json keys = config[part];
    config.erase(part);
    for (const auto& [key, value] : keys.items()) {
      if (key == "model_type" || key == "kwargs")
        continue;
      if (config.contains(key))
        object.fail(key, fmt::format("stands beside {} and within it", part));
      config[key] = value;
    }
  }
}

/// The family that model_type names.
const Family& family_in(ObjectReader& object) {
  if (flag_or(object, "is_encoder_decoder", false))
    object.fail("is_encoder_decoder", "expected false: encoders are not read");
  if (object.has("n_embd") && !object.has("hidden_size"))
    object.fail("n_embd",
                "is of GPT-2's family, whose keys are not read: write them as those of "
                "data/models/gpt3-175b.json");
  if (!object.has("model_type") && !object.has("hidden_size"))
    object.fail("model_type",
                "is missing: expected format \"bubblescope-model/1\", or a config.json");
  if (!object.has("model_type"))
    object.fail("model_type", "is missing: it says which layers the keys mean");
  const std::string type = object.text("model_type");
  try {
    return family_of(type);
  } catch (const Error& error) {
    object.fail("model_type", error.what());
  }
}

/// Whether the embedding is the head too.
bool is_tied(ObjectReader& object, const Family& family) {
  auto tied = object.optional_flag(kTied);
  tied = tied ? tied : family.tied;
  if (!tied)
    object.fail(kTied, "is missing, and models of this model_type differ in it");
  return *tied;
}

Model read_text_model(const json& config, ObjectReader& object) {
  const Family& family = family_in(object);
  Model model{.name = printable_name(object.text("model_type"))};
  model.hidden = needed_dimension(object, {"hidden_size", "d_model"});
  model.vocabulary = needed_dimension(object, {"vocab_size"});
  model.tied_embeddings = is_tied(object, family);
  model.head_bias = flag_or(object, "lm_head_bias", false);
  model.norm_bias = family.norm_bias;
  read_layers(object, family, model);
  model.ignored_keys = unknown_keys(object, config, model.depth());
  return model;
}

/// Keys beside the text model's that would mean something within it.
void check_outside(const ObjectReader& text, const std::string& part, const json& whole,
                   const ObjectReader& outside) {
  const std::vector<std::string>& read = text.asked();
  for (const auto& [key, value] : whole.items())
    if (key != kTied && key != "model_type" && value != whole.at(part).value(key, json()) &&
        std::find(read.begin(), read.end(), key) != read.end())
      outside.fail(key, fmt::format("stands beside {}, where it is expected within", part));
}

/// The text model of a multimodal one; the file may tell of its head beside it.
Model read_text_part(json& config, const std::string& part, const ObjectReader::Place& place) {
  ObjectReader whole(config, place);
  whole.object(part);  // has to be one
  if (flag_or(whole, "is_encoder_decoder", false))
    whole.fail("is_encoder_decoder", "expected false: encoders are not read");
  json text = config[part];
  if (config.contains(kTied) && !text.contains(kTied))
    text[kTied] = config[kTied];
  ObjectReader object(text, {place.file, place.path + "/" + part});
  Model model = read_text_model(text, object);
  if (whole.has(kTied) && model.tied_embeddings != whole.flag(kTied))
    whole.fail(kTied, fmt::format("is not what {} says", part));
  check_outside(object, part, config, whole);
  model.note = fmt::format(
      "{}: {} alone is read: what the model has beside text (vision, audio) is left out",
      place.file, part);
  return model;
}

void note_ignored(Model& model, const std::string& file) {
  if (model.ignored_keys.empty())
    return;
  model.note += fmt::format("{}{}: not understood, and by their names not about layers: {}",
                            model.note.empty() ? "" : "; ", file,
                            printable(fmt::format("{}", fmt::join(model.ignored_keys, ", "))));
}

}  // namespace

Model read_config_json(json config, const ObjectReader::Place& place,
                       std::span<const std::string> ignored) {
  ObjectReader object(config, place);
  check_ignored(config, object, ignored);
  clear(config, ignored);
  if (const auto part = text_part(config)) {
    clear(config[*part], ignored);
    Model model = read_text_part(config, *part, place);
    note_ignored(model, place.file);
    return model;
  }
  flatten(config, object);
  Model model = read_text_model(config, object);
  for (const char* key : {"vision_config", "audio_config"})
    if (config.contains(key))
      model.note = fmt::format("{}: {} is left out: the text model alone is read", place.file, key);
  note_ignored(model, place.file);
  return model;
}

}  // namespace bubblescope

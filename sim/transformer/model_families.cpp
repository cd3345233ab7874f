#include "sim/transformer/model_families.h"

#include <algorithm>
#include <span>

namespace bubblescope {
namespace {

using Families = std::span<const std::string_view>;

/// A family is the beginning of the model_type of each of its models.
bool is_of_any(Families families, std::string_view model_type) {
  return std::any_of(families.begin(), families.end(),
                     [&](std::string_view family) { return model_type.starts_with(family); });
}

}  // namespace

std::optional<bool> tied_by_default(std::string_view model_type) {
  // tie_word_embeddings is True in configuration_<model_type>.py, of transformers or, for minicpm,
  // beside the model's config.json.
  static constexpr std::string_view kTied[] = {
      "gemma", "cohere",       "smollm3",    "minicpm",     "ernie4_5",       "vaultgemma",
      "youtu", "paddleocr_vl", "hunyuan_vl", "granite_swa", "granite_docling"};
  // It is True for starcoder2 too, whose 3B and 7B are tied
  // (github.com/bigcode-project/starcoder2/issues/18), but 15B has the parameters of an untied
  // head.
  if (model_type == "starcoder2")
    return std::nullopt;
  return is_of_any(kTied, model_type);
}

bool has_no_gate(std::string_view model_type) {
  // Two matrices in the class of the MLP in transformers' modeling_<model_type>.py.
  static constexpr std::string_view kUngated[] = {"gpt_neox",  "starcoder2", "nemotron", "arcee",
                                                  "persimmon", "nanochat",   "jais2"};
  return model_type == "phi" || is_of_any(kUngated, model_type);
}

}  // namespace bubblescope

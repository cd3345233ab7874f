// Facts about families of models that their config.json may leave out.
#pragma once

#include <optional>
#include <string_view>

namespace bubblescope {

/// Whether the embedding is the head too where a config.json does not say so: transformers writes
/// no tie_word_embeddings that its class for the `model_type` has by default. None where files
/// without the key are published of both kinds.
std::optional<bool> tied_by_default(std::string_view model_type);

/// Whether a `model_type` is known to have no gate before its GELU or ReLU.
bool has_no_gate(std::string_view model_type);

}  // namespace bubblescope

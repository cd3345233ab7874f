// The keys of a config.json of which a Model has nothing.
#pragma once

#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

#include "sim/json_input.h"

namespace bubblescope {

/// Throws Error, with the key, for what `config` says of its layers that `object`, its reader, has
/// not been asked for. A key says something if its name contains a word such as "mamba" or
/// "expert", or if it has an object or a value for each of `layers`; not if it is 0, false or
/// empty.
void refuse_unread_keys(const ObjectReader& object, const nlohmann::json& config,
                        std::int64_t layers);

/// Throws Error where keys that are read make layers differ in ways that a Model does not tell.
void refuse_other_layers(ObjectReader& object, std::int64_t layers);

/// Throws Error for a file whose model_type or architectures are an encoder's.
void refuse_encoder(ObjectReader& object);

/// Whether the embedding is the head too where a config.json does not say so: a file has no
/// tie_word_embeddings where it is what transformers takes it to be for its model_type.
bool is_tied_by_default(std::string_view model_type);

/// Whether a `model_type` is known to have no gate before its GELU or ReLU.
bool has_no_gate(std::string_view model_type);

}  // namespace bubblescope

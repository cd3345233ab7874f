// Keys of a config.json that a Model has no field for.
#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

#include "sim/base/json_input.h"

namespace bubblescope {

/// Throws Error, with the key, for what `config` says of its layers that `object`, its reader, has
/// not been asked for. A key says something if its name contains a word such as "mamba" or
/// "expert", or if it has an object or a value for each of `layers`; not if it is 0, empty or
/// false, unless the false is about a gate of the MLP, as "use_glu" is.
void refuse_unread_keys(const ObjectReader& object, const nlohmann::json& config,
                        std::int64_t layers);

/// Throws Error where keys that are read make layers differ in ways that a Model does not tell.
void refuse_other_layers(ObjectReader& object, std::int64_t layers);

/// Throws Error for a file whose model_type or architectures are an encoder's.
void refuse_encoder(ObjectReader& object);

}  // namespace bubblescope

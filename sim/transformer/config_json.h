// Models as Hugging Face's config.json tells them.
#pragma once

#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "sim/base/json_input.h"
#include "sim/transformer/model.h"

namespace bubblescope {

/// The text model of a config.json, of which `ignored` keys are passed over; `place` is that of
/// `config`. Throws Error with the path of a key that is wrong, or that is not understood and may
/// tell of layers.
Model read_config_json(nlohmann::json config, const ObjectReader::Place& place,
                       std::span<const std::string> ignored);

}  // namespace bubblescope

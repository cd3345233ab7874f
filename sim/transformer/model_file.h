// Models, format "bubblescope-model/1" (data/schema/model.schema.json), or config.json as Hugging
// Face's transformers write it. Both have the same keys, some of which have other names too in a
// config.json; there, keys that say something else about layers are refused
// (sim/transformer/config_keys.h), and the rest is passed over.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "sim/transformer/model.h"

namespace bubblescope {

/// Reads a model's text; `file` names it in errors. A config.json is read as if it had none of the
/// keys `ignored`. Throws Error with the JSON path.
Model parse_model(std::string_view text, const std::string& file,
                  std::span<const std::string> ignored = {});

/// Reads a model's file. Throws Error.
Model read_model(const std::string& path, std::span<const std::string> ignored = {});

}  // namespace bubblescope

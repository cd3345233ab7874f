// Models, format "bubblescope-model/1" (data/schema/model.schema.json), or config.json as Hugging
// Face's transformers write it. Both have the same keys; in a config.json others are passed over,
// but those by which layers differ, which are refused where they do.
#pragma once

#include <string>
#include <string_view>

#include "sim/model.h"

namespace bubblescope {

/// Reads a model's text; `file` names it in errors. Throws Error with the JSON path.
Model parse_model(std::string_view text, const std::string& file);

/// Reads a model's file. Throws Error.
Model read_model(const std::string& path);

}  // namespace bubblescope

// Cost files, format "bubblescope-costs/1": data/schema/costs.schema.json tells every key.
#pragma once

#include <string>
#include <string_view>

#include "sim/cost_model.h"

namespace bubblescope {

/// Reads the text of a cost file; `file` names it in errors. Throws Error with the JSON path.
CostSource parse_costs(std::string_view text, const std::string& file);

/// Reads a cost file. Throws Error.
CostSource read_costs(const std::string& path);

}  // namespace bubblescope

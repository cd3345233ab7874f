// Cost files, format "bubblescope-costs/1": data/schema/costs.schema.json tells every key.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "sim/costs/cost_model.h"

namespace bubblescope {

/// Reads the text of a cost file; `file` names it in errors. Throws Error with the JSON path.
CostSource parse_costs(std::string_view text, const std::string& file);

/// A cost file has no more.
constexpr std::size_t kMostCostFileBytes = std::size_t{4} << 20;

/// Bytes a second: no rate is larger, so that each can be written and read again.
constexpr double kMostRate = 1e27;

/// Reads a cost file. Throws Error.
CostSource read_costs(const std::string& path);

/// The text of a cost file that reads as `source` does, to the nanosecond. `comments` is an object
/// whose keys start with "_", for people: where the numbers come from.
std::string costs_text(const CostSource& source, const nlohmann::ordered_json& comments);

}  // namespace bubblescope

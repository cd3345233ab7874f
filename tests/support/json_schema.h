// As much of JSON Schema, draft 2020-12, as data/schema uses.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace bubblescope {

/// What `schema` has against `value`, each fault with its JSON pointer; nothing if it is valid.
/// Throws std::invalid_argument for a keyword, or a form of one, that is not understood.
std::vector<std::string> schema_faults(const nlohmann::json& schema, const nlohmann::json& value);

}  // namespace bubblescope

// JSON as it is written.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace bubblescope {

/// Indented by `indent` blanks, or in one line. A byte that is no UTF-8, as a file's name may have,
/// becomes U+FFFD; no control character stands as such, for JSON may be printed on a terminal.
std::string dump_json(const nlohmann::json& json, int indent = -1);
std::string dump_json(const nlohmann::ordered_json& json, int indent = -1);

}  // namespace bubblescope

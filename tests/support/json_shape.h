// What keys a JSON object has, and what stands there.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bubblescope {

std::set<std::string> keys(const nlohmann::json& object);

/// The kinds of JSON values by key: "i" whole number, "n" number, "s" text, "a" array.
void check_shape(const nlohmann::json& object,
                 const std::vector<std::pair<std::string, char>>& shape);

}  // namespace bubblescope

#include "tests/support/json_shape.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace bubblescope {

using nlohmann::json;

std::set<std::string> keys(const json& object) {
  std::set<std::string> result;
  for (const auto& [key, value] : object.items())
    result.insert(key);
  return result;
}

void check_shape(const json& object, const std::vector<std::pair<std::string, char>>& shape) {
  for (const auto& each : shape) {
    const std::string& key = each.first;  // clang captures no structured bindings
    const char kind = each.second;
    CAPTURE(key);
    REQUIRE(object.contains(key));
    const json& value = object[key];
    CHECK((kind == 'i'   ? value.is_number_integer()
           : kind == 'n' ? value.is_number()
           : kind == 's' ? value.is_string()
                         : value.is_array()));
  }
}

}  // namespace bubblescope

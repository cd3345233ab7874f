// The keys of a config.json: how they are read, and what those that are not understood may mean.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "sim/base/json_input.h"

namespace bubblescope {

/// A dimension under any of these names, which all have to give the same; none where it is missing.
/// Throws Error for less than `least` or more than any model has.
std::optional<std::int64_t> dimension(ObjectReader& object,
                                      std::initializer_list<const char*> names,
                                      std::int64_t least = 1);
/// A dimension that must be there; throws Error where it is missing, with a key that is misspelt.
std::int64_t needed_dimension(ObjectReader& object, std::initializer_list<const char*> names,
                              std::int64_t least = 1);
/// Throws Error for a number out of the range, both ends of which belong to it.
void check_listed(const ObjectReader& object, const std::string& key,
                  const std::vector<std::int64_t>& numbers,
                  std::pair<std::int64_t, std::int64_t> range);
/// Whether a list names a layer.
bool is_listed(const std::vector<std::int64_t>& numbers, std::int64_t layer);
bool flag_or(ObjectReader& object, const std::string& key, bool otherwise);

/// The keys of `config` that were not read, and are not known to say nothing of what layers
/// compute. Throws Error for one that may well say something of it: by its name, since it resembles
/// one that is read, or since it has a value for each of `layers`.
std::vector<std::string> unknown_keys(const ObjectReader& object, const nlohmann::json& config,
                                      std::int64_t layers);

}  // namespace bubblescope

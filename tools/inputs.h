// What a JSON result says of itself, so that it can be made again.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "tools/predict.h"

namespace bubblescope {

/// {"format": "bubblescope-NAME/1", "version": …}, where NAME is the subcommand.
nlohmann::ordered_json provenance(const std::string& subcommand);

/// With "inputs": what was asked, with defaults filled in.
nlohmann::ordered_json provenance(const std::string& subcommand, const Scenario& scenario);

}  // namespace bubblescope

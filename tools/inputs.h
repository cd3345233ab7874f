// A JSON result says which version made it, and of what.
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "tools/predict.h"

namespace bubblescope {

using Provenance = std::shared_ptr<const nlohmann::ordered_json>;

/// {"format": "bubblescope-NAME/1", "version": …}, where NAME is the subcommand.
Provenance provenance(const std::string& subcommand);

/// With "inputs": what was asked, with defaults filled in.
Provenance provenance(const std::string& subcommand, const Scenario& scenario);

}  // namespace bubblescope

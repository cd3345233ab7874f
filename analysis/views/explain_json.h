// An explanation for programs, and the words that its views share.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "analysis/explain/explanation.h"
#include "analysis/figures/analysis.h"

namespace bubblescope {

/// One flat object a bubble: rank, start_ns, end_ns, cause, waiting, blocked_by, chain; in the last
/// two, names stand behind one another with blanks in between.
std::vector<nlohmann::ordered_json> idle_json(const Analysis& step);

/// All of it; `blocked_by` and `chain` are arrays.
nlohmann::ordered_json explain_json(const Analysis& step, const Explanation& why);

}  // namespace bubblescope

#pragma once

#include <nlohmann/json_fwd.hpp>

#include "analysis/figures/report.h"

namespace bubblescope {

/// The keys of the command line's contract, without "per_rank".
nlohmann::ordered_json summary_json(const Report& report);
/// Of one rank, with what the iteration and noise tell of it where there are any.
nlohmann::ordered_json rank_json(const Report& report, std::size_t rank);
nlohmann::ordered_json link_json(const LinkReport& link);
/// `summary_json` with "per_rank", and "links" where messages share any.
nlohmann::ordered_json report_json(const Report& report);

}  // namespace bubblescope

// A run's figures by their keys in JSON and CSV, from which tables take theirs.
#pragma once

#include <string>

#include "analysis/figures/report.h"
#include "analysis/views/document.h"

namespace bubblescope {

/// These first keys of the summary say which run it is.
Json setting_json(const Report& report);
/// The keys of the command line's contract, without "per_rank".
Json summary_json(const Report& report);
/// An object a rank, with what the iteration and noise say of it where there are any.
Rows rank_rows(const Report& report);
/// An object a link that messages share.
Rows link_rows(const Report& report);
/// `summary_json` with "per_rank", and "links" where messages share any.
Json report_json(const Report& report);
/// Adds "fits", null where there is no limit.
void add_fits(Json& json, const Report& report, const MemoryLimit& limit);

/// "idle_warm_up_ns": the key of a cause in a rank's object.
const std::string& cause_column(BubbleCause cause);

}  // namespace bubblescope

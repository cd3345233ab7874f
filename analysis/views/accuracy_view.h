// Predicted runs beside measured ones, by table and by kind:
//
//     table           rows  median  |median|  |mean|   |p90|      pairs
//     zb-t4             24  +1.9 %     2.1 %   2.4 %   4.6 %  38 of 41
//     …
//
//     verdict: 296 rows of 12 tables: median 3.1 %, 90th percentile 8.4 %; …
//
// Read: half of the runs of "zb-t4" are predicted 1.9 % too slow or more, half of the errors are
// within 2.1 %, and of 41 pairs of configurations of one job 38 are ranked as they were measured.
#pragma once

#include <string>
#include <vector>

#include "analysis/figures/format.h"
#include "analysis/published/accuracy.h"

namespace bubblescope {

std::string accuracy_view(const std::vector<PublishedRun>& runs, const Style& style);

}  // namespace bubblescope

// Predicted runs beside measured ones, by table and by kind:
//
//                                                      ranked   worst
//     table  rows   median  |median|   |mean|    |p90|  pairs   right  choice
//     zb-t4    24  -2.14 %    2.14 %   3.09 %   6.70 %     35      33  0.00 %
//     …
//
//     verdict: 295 runs: half of the errors are within 4.2 %, nine in ten within 19.7 %; …
//
// Read: half of the runs of "zb-t4" are predicted 2.14 % too fast or more, half of the errors are
// within 2.14 %, of 35 pairs of runs of one job 33 are ranked as they were measured, and in each
// job the run that is predicted best is the best.
#pragma once

#include <string>
#include <vector>

#include "analysis/figures/format.h"
#include "analysis/published/accuracy.h"

namespace bubblescope {

std::string accuracy_view(const std::vector<PublishedRun>& runs, const Style& style);

}  // namespace bubblescope

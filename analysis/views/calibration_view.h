// What measured steps cost, and how well a simulation gives them back:
//
//     Primus dumps, runs/42: 1f1b, 8 ranks, 16 micro-batches, ideal communication
//     19 steps (left out, as warm-up: iteration 1)
//
//     all rows: count 304
//
//     stage  op     median         q1         q3  spread  outliers    farthest  in
//         0  F   57.757 ms  57.087 ms  58.213 ms  1.95 %        21  340.005 ms  iteration 11, 0F7
//     …
//
//     simulated with                           measured    simulated    error
//     every action as measured, no latency  3244.700 ms  3210.955 ms  -1.01 %
//     …
//     latency of a hop: 4698.747 µs with the medians, 2343.643 µs with every action as measured
//     outlying steps: iteration 16 (+6.77 %), iteration 18 (+7.70 %)
//
// Read: actions in their order explain all but 1 % of the step; messages of 2.3 ms a hop would
// explain the rest, or of 4.7 ms if every action took the median.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "analysis/calibration/measured_costs.h"
#include "analysis/figures/format.h"

namespace bubblescope {

std::string calibration_view(const MeasuredCosts& costs, const Style& style);

/// {"_derivation": …}: where the numbers of the costs come from, for a cost file.
nlohmann::ordered_json derivation_json(const MeasuredCosts& costs);

}  // namespace bubblescope

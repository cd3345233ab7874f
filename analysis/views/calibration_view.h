// What measured steps cost, and how well a simulation gives them back:
//
//     Primus dumps, runs/42: 1f1b, 8 ranks, 16 micro-batches, ideal communication
//     19 steps (left out, as warm-up: iteration 1)
//
//     stage  op  count     median         q1         q3  spread  outliers  farthest
//         0  F     304  57.774 ms  57.312 ms  58.290 ms  1.69 %         2  98.1 ms (iteration 3,
//         0F1)
//     …
//
//     each step, simulated without latency   measured    simulated    error
//     every action as measured            3243.800 ms  3211.000 ms  −1.01 %
//     …
//
//     latency of a hop: 3.161 ms, which brings the medians to the measured step
//     steps off the median by more than 2 %: iteration 16 (+6.79 %)
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "analysis/calibration/measured_costs.h"
#include "analysis/figures/format.h"

namespace bubblescope {

std::string calibration_view(const MeasuredCosts& costs, Format format, Color color);

/// {"_derivation": …}: where the numbers of the costs come from, for a cost file.
nlohmann::ordered_json derivation_json(const MeasuredCosts& costs);

}  // namespace bubblescope

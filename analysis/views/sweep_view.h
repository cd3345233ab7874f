// Which schedule wins where:
//
//     8 ranks, 32 micro-batches, ideal communication; p2p from 0 to 2 ms, 5 points
//
//     all points: weight copies 1
//
//                                                          in-flight
//        p2p  wins     step time  next best  × as long  micro-batches
//          0  zb-v   1165.500 ms  zb-h2          1.033              8
//     …
//       2 ms  zb-h2  1218.000 ms  zb-v           1.011             15
//
//     verdict: zb-v wins below p2p 1.481 ms, zb-h2 above
//
// Read: without latency ZB-H2 takes 3.3 % longer than ZB-V; it has fewer messages on its critical
// path, and from 1.481 ms a hop on it is faster, at twice the activations.
//
// Of two costs a map instead, the first to the right and the second upwards, a letter a schedule.
#pragma once

#include <string>

#include "analysis/figures/format.h"
#include "analysis/sweep/sweep.h"

namespace bubblescope {

/// "zb-h2 wins below p2p 141.2 µs, zb-h1 above"
std::string verdict(const Sweep& sweep);

/// CSV and JSON have every schedule at every point.
std::string sweep_view(const Sweep& sweep, const Style& style);

}  // namespace bubblescope

// Which schedule wins where:
//
//     8 ranks, 32 micro-batches, ideal communication; p2p from 0 to 1 ms, 25 points
//
//     p2p               wins  step time at its ends  next best  faster by
//     0 … 141.2 µs      zb-h2     …
//     141.2 µs … 1 ms   zb-h1     …
//
//     p2p        wins       step time  next best    × as long
//     0          zb-h2     332.000 ms  zb-v             1.012
//     …
//     verdict: zb-h2 wins below p2p 141.2 µs, zb-h1 above
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
std::string sweep_view(const Sweep& sweep, Format format, Color color);

}  // namespace bubblescope

// Why a step takes as long as it does, and where every idle interval comes from:
//
//     1f1b: 8 ranks, 32 micro-batches, ideal communication
//
//                       time  made of
//     step time  1170.000 µs  39·F + 39·B
//     idle        210.000 µs  7·F + 7·B on every rank
//     holds                   at all costs
//
//                      on the                          holds                 1 % less
//     cost       each    path        time    share      from             to     saves
//     F     10.000 µs      39  390.000 µs  33.33 %  0.000 µs   ≥ 100.000 µs   3900 ns
//     …
//      idle time   of all  what keeps it waiting
//     210.000 µs  12.50 %  rank 0 waits for B of stage 1 on rank 1, 8 times; 1B0 ← 2B0 ← 3B0 ← …
//     …
//      critical path  rank  actions
//     …
//          70.000 µs     7        2  7F0 7B0
//     …
//
// Read: the step is 39 forwards and 39 backwards in a row, at whatever costs; a forward that is 1 %
// shorter makes the step 3900 ns shorter. Rank 0 idles most, waiting for the first backwards.
#pragma once

#include <string>

#include "analysis/figures/analysis.h"
#include "analysis/figures/format.h"

namespace bubblescope {

std::string explain_view(const Analysis& step, const Style& style);

}  // namespace bubblescope

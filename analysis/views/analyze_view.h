// Traces of GPUs in figures:
//
//     2 ranks, each from its first start to its last end of all
//
//     all ranks: window 100.000 µs
//
//                                       idle                           communi…
//     rank       busy       idle    share    compute  communication  of it …
//        0  60.000 µs  40.000 µs  40.00 %  60.000 µs       0.000 µs
//        1  50.000 µs  50.000 µs  50.00 %  30.000 µs      30.000 µs
//
//                                    before  waits though      after
//     rank  stream  events       busy  its first      launched   its last
//        0  all          2  60.000 µs   0.000 µs     40.000 µs   0.000 µs
//           7            2  60.000 µs   0.000 µs     40.000 µs   0.000 µs
//     …
//     kind           family    count       time    share
//     compute        GEMM          3  90.000 µs  75.00 %
//     …
//     verdict: rank 1 idles most, 50.00 % of its window: 80.00 % of that before its first event
//
// Read: rank 1 begins late, as a later stage of a pipeline does; rank 0 waits in gaps for which the
// host is not to blame, since the next kernel had been launched.
#pragma once

#include <string>

#include "analysis/figures/format.h"
#include "analysis/gpu_trace/gpu_figures.h"

namespace bubblescope {

/// CSV has a row a rank; JSON has all. Tables have the longest families and ranges, those of a
/// pipeline's actions by kind, and streams where there are at most eight ranks.
std::string analyze_view(const GpuFigures& figures, const Style& style);

}  // namespace bubblescope

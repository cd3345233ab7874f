// Traces of GPUs in figures:
//
//     2 ranks, each from its first start to its last end of all
//
//                                                idle                         communi-
//     rank      window       busy       idle    share    compute    memory     cation  …
//        1  100.000 µs  50.000 µs  50.000 µs  50.00 %  30.000 µs  0.000 µs  30.000 µs  …
//     …
//                                         before  launched  gaps below  launched,      after
//     rank  stream  events       busy  its first  too late       30 µs  but waits   its last
//        1  all          2  50.000 µs  40.000 µs  0.000 µs    0.000 µs   0.000 µs  10.000 µs
//           7            1  30.000 µs  40.000 µs  0.000 µs    0.000 µs   0.000 µs  30.000 µs
//     …
//     kind           family    events       time    share
//     compute        GEMM           3  90.000 µs  75.00 %
//     …
//     range   ranges  events    compute  communication    memory
//     PP:#F#       1      12  10.000 µs       0.000 µs  0.000 µs
//
//     rank 1 idles most, 50.00 % of its window: 80.00 % of that before its first event
#pragma once

#include <string>

#include "analysis/figures/format.h"
#include "analysis/gpu_trace/gpu_figures.h"

namespace bubblescope {

/// CSV has a row a rank; JSON has all. Tables have the longest families and ranges, those of a
/// pipeline's actions by kind, and streams where there are at most eight ranks.
std::string analyze_view(const GpuFigures& figures, Format format, Color color);

}  // namespace bubblescope

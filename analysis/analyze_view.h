// Traces of GPUs in figures:
//
//     2 ranks in a common window, from the first start to the last end
//
//     rank     window        busy       idle  idle %    compute  communication  overlap    exposed
//        0  90.000 µs  60.000 µs  30.000 µs  33.33 %  60.000 µs       0.000 µs        –   0.000 µs
//
//                      before       host  gaps below    waits for       after
//     rank       idle   first       late       30 µs  other streams      last
//        0  30.000 µs  …
//
//     rank  stream  events       busy  …
//
//     kind           family  events       time    share
//     compute        GEMM       120  40.000 µs  66.67 %
//
//     range   on   ranges  events    compute  communication   memory
//     PP:0F0  gpu       1      12  10.000 µs       0.000 µs  …
//
//     rank 1 idles most, 41.20 % of the window, most of it before its first kernel
#pragma once

#include <string>

#include "analysis/format.h"
#include "analysis/gpu_figures.h"

namespace bubblescope {

/// CSV has a row a rank; families and ranges are in JSON whole, in tables the longest.
std::string analyze_view(const GpuFigures& figures, Format format, Color color);

}  // namespace bubblescope

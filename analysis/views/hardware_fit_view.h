// How well tables of kernels fit the timings that they are made of:
//
//     my-h100: kernels of gemm.csv, all else as of h100-sxm
//
//     table           from      rows  used  nodes  median error  p90 error  worst error
//     products.bf16   timings    180   180    100        1.20 %     4.10 %      11.20 %
//     products.fp8    h100-sxm
//     …
//
// Read: half of the 180 timings are within 1.2 % of what the table gives back; fp8 was not timed.
#pragma once

#include <string>

#include "analysis/calibration/hardware_fit.h"
#include "analysis/figures/format.h"

namespace bubblescope {

std::string hardware_fit_view(const HardwareFit& fit, const Style& style);

}  // namespace bubblescope

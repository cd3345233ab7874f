// One schedule in figures, rank by rank:
//
//     1f1b: 4 ranks, 8 micro-batches, ideal communication
//
//     step time         330 µs
//     bubble_fraction   27.27 %  idle time / (ranks × step time)
//     …
//
//     rank     busy     idle     span  exposed comm  live activations
//        0  240 µs    90 µs   330 µs          0 µs                 4
#pragma once

#include <string>

#include "analysis/format.h"
#include "analysis/report.h"

namespace bubblescope {

std::string simulate_view(const Report& report, Format format, Color color);

}  // namespace bubblescope

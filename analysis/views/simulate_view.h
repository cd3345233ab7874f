// One schedule in figures, rank by rank:
//
//     1f1b: 4 ranks, 8 micro-batches, ideal communication
//
//     figure                 value  meaning
//     step time         330.000 µs  last end − first start
//     bubble_fraction      27.27 %  idle time / (ranks × step time)
//     …
//
//                                               exposed         live
//     rank        busy       idle        span      comm  activations
//        0  240.000 µs  90.000 µs  330.000 µs  0.000 µs            4
//
//                                   input not    message
//     rank        idle    warm-up    made yet  in flight     drain
//        0  90.000 µs    0.000 µs  90.000 µs    0.000 µs  0.000 µs
#pragma once

#include <string>

#include "analysis/figures/fits.h"
#include "analysis/figures/report.h"
#include "analysis/views/page.h"

namespace bubblescope {

/// Tells whether it stays within `limit`, where there is one.
std::string simulate_view(const Report& report, const MemoryLimit& limit, Format format,
                          Color color);

/// The idle time of each rank, by what it waits for: what every schedule has, and what occurs.
Table waiting_table(const Report& report);

/// The tables of `simulate_view`, below a title of one's own.
void add_figures(Page& page, const Report& report, const MemoryLimit& limit);

}  // namespace bubblescope

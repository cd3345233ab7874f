// One schedule in figures, rank by rank:
//
//     1f1b: 4 ranks, 8 micro-batches, ideal communication
//
//     figure                 value  meaning
//     step time         330.000 µs  last end − first start
//     bubble_fraction      27.27 %  idle time / (ranks × step time)
//     live activations           4  most on one rank
//     weight copies              1  of the model, over all ranks
//     peak memory          unknown  the costs give no sizes
//
//     all ranks: busy 240.000 µs
//
//                         live
//     rank        span  activations
//        0  330.000 µs            4
//        1  300.000 µs            3
//     …
//
//     all ranks: idle 90.000 µs
//
//                        waiting
//     rank    warm-up  for input      drain
//        0   0.000 µs  90.000 µs   0.000 µs
//        1  10.000 µs  60.000 µs  20.000 µs
//     …
//
// Read: each rank idles 90 µs. Rank 0 does so between its actions, when the input of the next has
// not come; the others partly before their first action and after their last.
#pragma once

#include <string>

#include "analysis/figures/fits.h"
#include "analysis/figures/format.h"
#include "analysis/figures/report.h"

namespace bubblescope {

class Document;
struct Table;

/// Says whether it stays within `limit`, where there is one.
std::string simulate_view(const Report& report, const MemoryLimit& limit, const Style& style);

/// The idle time of each rank, by what it waits for.
Table waiting_table(const Report& report);

/// The tables of `simulate_view`, below a title of one's own.
void add_figures(Document& page, const Report& report, const MemoryLimit& limit);

}  // namespace bubblescope

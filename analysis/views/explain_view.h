// Why a step takes as long as it does, and where every idle interval comes from:
//
//     1f1b: 8 ranks, 32 micro-batches, ideal communication
//
//     step time  1131.000 µs = 39·F + 39·B
//     idle        203.000 µs = 7·F + 7·B on every rank
//     holds      at all costs, in this order of actions
//
//     cost       each  on the path         time   share  holds from          to  1 % less saves
//     F     10.000 µs           39   390.000 µs  34.48 %    0.000 µs     no limit        3.900 µs
//     …
//
//     idle time        share  what keeps it waiting
//      70.000 µs     4.31 %  rank 7 has nothing to do before 6F0 is done; before 7F0: 6F0 ← 5F0 ← …
//     …
//
//     critical path, 78 actions: 0F0 · 1F0 · … · 7F0 … 7B31 (64) · 6B31 · …
#pragma once

#include <string>

#include "analysis/figures/format.h"
#include "analysis/views/explain_json.h"

namespace bubblescope {

std::string explain_view(const Analysis& step, Format format, Color color);

}  // namespace bubblescope

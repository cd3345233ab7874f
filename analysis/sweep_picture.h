// A sweep as a picture: of one cost a line a schedule, its name at its end, over a strip that tells
// who wins; of two a map, in the winners' colours, the stronger the further ahead.
//
//     step time                                  |   p2p (y)
//     │        ╭── 1f1b                          |   ████████░░░ zb-h2
//     │ ──────╯─── zb-h2                         |   ████░░░░░░░
//     ├──────────┬──────────                     |   ██░░ zb-v ░
//     │ zb-v     │ zb-h2                         |   └──────────
//     └──────────┴────────── p2p                 |    forward
#pragma once

#include <string>

#include "analysis/sweep.h"

namespace bubblescope {

/// An SVG document.
std::string sweep_picture(const Sweep& sweep);

}  // namespace bubblescope

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

#include "analysis/sweep/sweep.h"

namespace bubblescope {

/// SVG documents, of a sweep of one cost and of one of two, with its verdict below the title.
std::string sweep_lines(const Sweep& sweep, const std::string& verdict);
std::string sweep_map(const Sweep& sweep, const std::string& verdict);

inline std::string sweep_picture(const Sweep& sweep, const std::string& verdict) {
  return sweep.axes.size() == 1 ? sweep_lines(sweep, verdict) : sweep_map(sweep, verdict);
}

}  // namespace bubblescope

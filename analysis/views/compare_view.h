// Several schedules side by side, best first, with a verdict:
//
//                                   bubble    bubble …     live  weight
//     schedule  step time  × best  fraction  overhead   activ…  copies
//     dualpipe   17.869 s   1.000    5.05 %    5.32 %       17       2
//     zb-h2      26.291 s   1.471    6.58 %    7.04 %       31       1
//
//     skipped gpipe: …
//     verdict: dualpipe, 17.869 s a step: 1.471× faster than zb-h2, because …
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/figures/fits.h"
#include "analysis/figures/format.h"
#include "analysis/figures/report.h"

namespace bubblescope {

struct Comparison {
  std::vector<Report> results = {};  ///< Sorted by `sort_best_first`.
  std::vector<Skipped> skipped = {};
  MemoryLimit limit = {};
};

/// By step time, with noise by its median; ties by peak activations in p-ths of the model, weight
/// copies, then the order given. Where each of the results stood before.
std::vector<std::size_t> sort_best_first(std::vector<Report>& results);

/// The best that fits, and why, in a sentence.
std::string verdict(const Comparison& comparison);

std::string compare_view(const Comparison& comparison, Format format, Color color);

}  // namespace bubblescope

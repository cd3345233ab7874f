// Several schedules side by side, best first, with a verdict:
//
//     16 ranks, 120 micro-batches, ideal communication
//
//                                   bubble  exposed         live  weight
//     schedule  step time  × best  fraction     comm  activations  copies
//     dualpipe   17.869 s   1.000    5.05 %  2.052 s           17       2
//     zb-h2      26.291 s   1.471    6.58 %  9.648 s           31       1
//
//     verdict: dualpipe, 17.869 s a step: 32 % less time than zb-h2, because a rank exposes 7.596 s
//       less communication; it holds 17 live activations, 2 copies of the weights; the best with
//       one copy is zb-h2, 47 % more time
//
// Read: a step of DualPipe is shorter by a third, since its pairs hide communication that Zero
// Bubble exposes. It holds two copies of the weights; whoever cannot afford that takes zb-h2.
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

/// By step time, with noise by its median; ties by in-flight micro-batches, weight copies, then the
/// order given. Gives where each of the results stood before.
std::vector<std::size_t> sort_best_first(std::vector<Report>& results);

/// The best that fits, and why, in a sentence; where none fits, what comes nearest.
std::string verdict(const Comparison& comparison);

std::string compare_view(const Comparison& comparison, const Style& style);

}  // namespace bubblescope

// One schedule as papers draw it, in SVG: a row for each rank, boxes with micro-batch numbers,
// bubbles hatched by cause, live activations below each row.
//
//     dualpipe
//     8 ranks, 20 micro-batches, ideal communication
//     step time 1.020 ms · bubble 11.76 % · at most 9 live activations on a rank
//                                                                          idle  peak live
//     rank 0 |0|1|2|3|4|//////|5|…                                       11.8 %          9
//            ▁▁▂▂▃▃▄▄▅▅▅▅▅▅▅▅▅▅…
//            0      100 µs      200 µs
//     ■ forward  ■ full backward  ▨ warm-up
#pragma once

#include <cstddef>
#include <string>

#include "analysis/figures/analysis.h"

namespace bubblescope {

/// More actions give no picture that a viewer could show.
constexpr std::size_t kMostSvgActions = 200'000;

/// A box is a subpath of the path of its kind and shade in the group of its rank, and a bubble one
/// of its cause: `M x 0 h width …`, in pixels of which the step has `plot_width`.
std::string svg_view(const Analysis& run);

}  // namespace bubblescope

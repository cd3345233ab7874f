// Is the prediction true? One schedule, predicted beside measured:
//
//     1f1b, predicted and measured on cuda, NVIDIA H200: 4 ranks, 8 micro-batches, ideal comm…
//
//     figure            predicted     measured         error          noise
//     step time        330.000 µs   331.402 µs       +0.42 %       ± 0.11 %
//     bubble_fraction     27.27 %      27.55 %  +0.28 points  ± 0.08 points
//     op start, p50                                 0.402 µs     ± 0.365 µs
//     op start, p95                                 1.377 µs     ± 0.365 µs
//     op start, max                                 1.402 µs     ± 0.365 µs
//
//     furthest from its predicted start: 0B7 on rank 0
//
//           predicted  measured
//     rank     bubble    bubble  bubble error
//        0    27.27 %   27.55 %  +0.28 points
//
//     machine  value
//     device   NVIDIA H200
//     …
//
//     measured: 5 steps, ± 0.11 %
//     verdict: within 2 %: the step is +0.42 % off its prediction; the noise is ± 0.11 %
//
// Read: the step took 1.4 µs longer than predicted, four times what the clock's noise explains, and
// is still within the tolerance. No action began more than 1.402 µs off its predicted start.
//
// Several, a row each, and whether their order is the predicted one:
//
//     schedule   predicted    measured    error     noise  …
//     zb-h1     300.000 µs  301.233 µs  +0.41 %  ± 0.11 %
//     1f1b      330.000 µs  331.402 µs  +0.42 %  ± 0.11 %
//
//     predicted order: zb-h1, 1f1b
//     measured order:  zb-h1, 1f1b
//     ranked right: 1 of 1 pair whose predictions differ by more than twice the noise
//     verdict: …
#pragma once

#include <string>
#include <vector>

#include "analysis/figures/format.h"
#include "analysis/figures/measurement.h"
#include "analysis/figures/timeline_comparison.h"

namespace bubblescope {

struct Validation {
  TimelineComparison comparison = {};
  Measurement measurement = {};
  double tolerance = 0.02;  ///< For the step error, as a fraction.

  bool is_within() const;
  /// Whether it is within, and the parity holds.
  bool holds() const;
  /// How far the noise of the steps moves the bubble, in points, with the work as it is.
  double bubble_noise_points() const;
};

/// Whether schedules are as fast, beside one another, as predicted.
struct Ranking {
  struct Pair {
    std::string faster;  ///< As predicted; as measured it is not.
    std::string slower;
  };
  std::vector<std::string> predicted = {};  ///< Fastest first; ties in the order given.
  std::vector<std::string> measured = {};
  /// Pairs whose predictions differ by more than twice the noise.
  int pairs = 0;
  std::vector<Pair> wrong = {};
};
Ranking rank(const std::vector<Validation>& validations);

/// In a sentence.
std::string verdict(const Validation& validation);

/// A row each in CSV, and for several in the other formats. There is at least one.
std::string validate_view(const std::vector<Validation>& validations, const Style& style);

}  // namespace bubblescope

// Several schedules side by side, best first, with a verdict:
//
//     schedule  step time    × best  bubble_fraction  …  live activations  weight copies
//     dualpipe   8.123 s      1.000           4.05 %  …               17              2
//     zb-h2     13.400 s      1.650           …
//
//     gpipe: skipped: …
//     verdict: dualpipe, 8.123 s a step: …
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/format.h"
#include "analysis/report.h"

namespace bubblescope {

struct Skipped {
  std::string schedule;
  std::string reason;
};

/// What a rank may hold: live activations of stages, or bytes.
struct MemoryLimit {
  std::optional<int> live_activations = {};
  std::optional<Bytes> bytes = {};
};

struct Comparison {
  std::vector<Report> results = {};  ///< Sorted by `sort_best_first`.
  std::vector<Skipped> skipped = {};
  MemoryLimit limit = {};
};

/// What `report` shows stays within the limit.
bool fits(const Report& report, const MemoryLimit& limit);

/// By step time; ties by peak live activations, weight copies, then the order given.
void sort_best_first(std::vector<Report>& results);

/// The best that fits, and why, in a sentence.
std::string verdict(const Comparison& comparison);

std::string compare_view(const Comparison& comparison, Format format, Color color);

}  // namespace bubblescope

// Published tables, ours beside theirs, with the deviation of each column and its reason:
//
//     zero-bubble-table5: Zero Bubble, table 5: bubble rates, ours (theirs)
//
//                            1f1b  interleaved-1f1b …          zb-2p
//     1.5B m=24     24.31 (24.31)     10.90 (10.55) …    4.33 (4.33)
//     …
//
//     1f1b: all 12 agree
//     interleaved-1f1b: 12 of 12 differ, by +0.08 to +0.35 points: in the paper's simulator …
//     moved: 1.5B m=24, 1f1b: 24.3100 %, recorded as 24.3101 %
//
//     verdict: 72 values: 49 agree with what is published, 23 differ for the reasons given; none
//       has moved
//
// Read: each cell has our value, then the published one in brackets; where they differ, the line
// of the column says by how much and why.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "analysis/figures/format.h"
#include "analysis/published/published_table.h"

namespace bubblescope {

struct PublishedCounts {
  std::size_t values = 0;
  std::size_t agree = 0;
  std::size_t moved = 0;  ///< Ours that are not what is recorded.
};
PublishedCounts count(const std::vector<PublishedTable>& tables);

/// The counts in a sentence.
std::string verdict(const PublishedCounts& counts);

std::string published_view(const std::vector<PublishedTable>& tables, const Style& style);

}  // namespace bubblescope

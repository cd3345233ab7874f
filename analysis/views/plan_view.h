// The best ways to divide a training job over GPUs:
//
//     llama-3.1-8b on 8 h100-sxm, 64 sequences of 8192 tokens
//     limit: 80.0 GiB a GPU, the memory of h100-sxm
//
//     all rows: cp 1, ep 1, recompute none
//
//     schedule  iteration  tokens/s     MFU    bubble  memory  tp  pp  dp  v  micro-batch
//     1f1b        9.115 s    57,518  43.1 %    0.00 %  61 GiB   2   1   4  1            1
//     zb-v        9.391 s    55,828  41.8 %    2.31 %  70 GiB   1   4   2  2            1
//     …
//
//     verdict: best of 1,205 configurations: 212 simulated, 493 excluded by bounds, 500 do not fit
//
// Read: the first row is the fastest that fits. Nothing that the bounds excluded can be as fast as
// the rows shown and the ties, or take less of both time and memory than one of the front.
#pragma once

#include <string>
#include <vector>

#include "analysis/figures/format.h"
#include "analysis/plan/plan_search.h"
#include "analysis/views/table.h"

namespace bubblescope {

/// A plan, with its rows as `data/schema/plan.schema.json` tells them.
struct PlanPage {
  std::vector<std::string> title = {};
  Rows results = {};        ///< Best first.
  Rows front = {};          ///< By rising time and falling memory.
  Rows beyond = {};         ///< Rows that more memory would give.
  Json simplest = nullptr;  ///< The simplest row among the best and its ties.
  std::size_t ties = 0;     ///< With the best, which is one of them.
  int tie_percent = 0;      ///< Ties take longer than the best by so much at most.
  Rows finalists = {};      ///< Automatic schedules for the best divisions, best first.
  Rows opened = {};         ///< Each choice that is narrowed, and the quickest without.
  PlanCounts counts = {};
  bool is_interrupted = false;
  std::vector<std::string> notes = {};
};

/// "best of 1,205 configurations: 212 simulated, 493 excluded by bounds, 500 do not fit"
std::string plan_verdict(const PlanCounts& counts, bool is_interrupted);

std::string plan_view(const PlanPage& page, const Style& style);

}  // namespace bubblescope

// The view shows a set of costs per stage and phase. Stages that are alike share a row:
//
//     llama-3.1-405b on h100-sxm: 8 stages, layout Et*16|(t*16|)*5t*15|t*15L; a message takes …
//
//     all stages: message 32.0 MiB
//     too wide, so left out: parameters, gradients, optimizer, buffers (--columns shows them)
//
//     stages  layers           F           I           W           B         F&B …
//     0           16  207.005 ms  226.079 ms  171.314 ms  397.394 ms  604.399 ms …
//     1–5         16  206.976 ms  226.079 ms  171.246 ms  397.325 ms  604.301 ms …
//     …
//     stage 0       stream         time      FLOPs    memory     sent  bound
//     attn(F)       compute   36.112 ms  2.309e+13  15.8 GiB      0 B  compute
//     tp_attn(F)    tensor    21.862 ms  0.000e+00       0 B  7.0 GiB  nvlink
//     …
//
// Read: a forward of stage 0 takes 207.005 ms; attention is bound by arithmetic in 36.112 ms of it,
// and tensor parallelism's messages around it take 21.862 ms more.
#pragma once

#include <optional>
#include <string>

#include "analysis/figures/format.h"
#include "sim/costs/cost_model.h"
#include "sim/schedule/placement.h"
#include "sim/transformer/analytic_costs.h"

namespace bubblescope {

/// The costs of `source` laid over one pipe of `placement`. `analytic` is where they come from a
/// model. Throws Error as CostModel does.
std::string costs_view(const CostSource& source, const Placement& placement,
                       const CostOptions& options, const std::optional<AnalyticCosts>& analytic,
                       const Style& style);

}  // namespace bubblescope

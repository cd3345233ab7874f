// What a set of costs comes to, per stage and phase. Stages that are alike share a row:
//
//     stages  layers         F         I         W         B       F&B  activations  weights …
//     0            4  …
//     1–12         4  60.9 ms  …
//
//     stages 1–12  stream        time     FLOPs    memory      sent  bound
//     attn(F)      compute  13.906 ms  8.94e+12  13.1 GiB       0 B  compute
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/figures/format.h"
#include "sim/costs/cost_model.h"
#include "sim/schedule/placement.h"
#include "sim/transformer/analytic_costs.h"

namespace bubblescope {

/// One phase of a stage, over all its layers.
struct CostsPhase {
  std::string name = {};
  OpKind of = OpKind::Forward;
  PhaseStream stream = PhaseStream::Compute;
  Time duration{};                       ///< With nothing beside it.
  std::optional<PhaseCost> detail = {};  ///< Where the costs come from a model.

  friend bool operator==(const CostsPhase& a, const CostsPhase& b);
};

struct CostsStage {
  Time forward{};  ///< Alone, communication included, as the three that follow.
  Time input_grad{};
  Time weight_grad{};
  Time backward{};
  Time overlapped{};  ///< A pair of two micro-batches.
  std::optional<Bytes> activation = {};
  std::optional<Bytes> activation_after_input_grad = {};
  std::optional<Bytes> weights = {};
  Bytes message = 0;
  Time grad_reduce{};
  Time optimizer{};
  std::optional<StageLayers> layers = {};
  std::optional<StageMemory> memory = {};
  std::vector<CostsPhase> phases = {};
};

struct CostsReport {
  std::string name = {};
  std::string source = {};
  std::optional<int> ranks = {};
  std::optional<double> layers_per_stage = {};
  std::string layout = {};  ///< In Megatron's language; empty where there is no model.
  Link link = {};
  std::optional<Network> network = {};  ///< Instead of `link`.
  std::vector<CostsStage> stages = {};
};

/// The costs of `source` laid over one pipe of `placement`. `analytic` is where they come from a
/// model. Throws Error as CostModel does.
CostsReport costs_report(const CostSource& source, const Placement& placement, CostOptions options,
                         const std::optional<AnalyticCosts>& analytic);

std::string costs_view(const CostsReport& report, Format format, Color color);

}  // namespace bubblescope

// The costs of a model's stages from what the model and the hardware are, with nothing measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/costs/cost_model.h"
#include "sim/transformer/model_job.h"
#include "sim/transformer/phase_cost.h"
#include "sim/transformer/stage_memory.h"

namespace bubblescope {

/// As told; else the GPUs of one stage stand beside one another, then come those of the next, in
/// Megatron-Core's order tp-cp-ep-dp-pp: where a node, or 64 GPUs of a domain of 72, cannot be
/// filled with whole stages, none share it.
int ranks_per_node(const ModelJob& job);

/// One stage in detail.
struct AnalyticStage {
  StageLayers layers;
  std::vector<PhaseCost> phases = {};  ///< [of the StageCost's phases] over all layers
  StageMemory memory = {};
};

struct AnalyticCosts {
  StageLayout layout;
  std::string model;                        ///< `describe`
  std::vector<std::string> estimated = {};  ///< `estimated_mixers`
  std::vector<AnalyticStage> stages;
  CostSource source;  ///< Stage by stage; timed by phases.
};

/// Each throws Error where the job makes no sense: hardware without the precision; attention in
/// fp8 in a job that is not, an imbalance of experts that are on one GPU; a sequence that
/// the parallelism does not divide, or that is longer than the positions that the model learned;
/// more ranks on a node than it has GPUs for.
void check_precision(const ModelJob& job);
void check_training(const ModelJob& job);
void check_sequence(const ModelJob& job);
void check_nodes(const ModelJob& job);

/// Throws Error where the model cannot be divided as the job says, one of the above does, or the
/// layout is for another number of stages.
AnalyticCosts analytic_costs(const ModelJob& job, int stages);

/// What GPUs do in a step of so many micro-batches on so many ranks of the pipeline.
struct StepWork {
  std::int64_t gpus = 0;
  double tokens = 0;
  /// What the model needs: three times its forward, attention below the diagonal alone, and nothing
  /// that is made again.
  double flops = 0;
  double flops_full_attention = 0;  ///< Counts attention over the whole square.
  double peak = 0;                  ///< FLOPs a second, of all GPUs in the job's precision.
};
StepWork step_work(const ModelJob& job, int ranks, int microbatches);

/// Why the job cannot be laid over so many stages; none where it can.
std::optional<std::string> find_obstacle(const ModelJob& job, int stages);

}  // namespace bubblescope

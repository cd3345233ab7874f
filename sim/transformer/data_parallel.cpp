#include "sim/transformer/data_parallel.h"

#include "sim/transformer/analytic_units.h"

namespace bubblescope {
namespace {

/// `bytes` of each parameter, gathered or reduced over those that have the same.
PhaseCost collective(const LayerSetting& setting, const Parameters& parameters, double bytes) {
  PhaseCost cost = collective_cost(setting, plain_replicas(setting), bytes * parameters.plain);
  cost += collective_cost(setting, expert_replicas(setting), bytes * parameters.expert);
  return cost;
}

}  // namespace

GpuGroup plain_replicas(const LayerSetting& setting) {
  const Parallel& parallel = setting.parallel;
  return group_of(parallel.replicas(), parallel.tensor, setting.hardware);
}

GpuGroup expert_replicas(const LayerSetting& setting) {
  const Parallel& parallel = setting.parallel;
  return group_of(parallel.expert_replicas(), parallel.expert * parallel.expert_tensor(),
                  setting.hardware);
}

PhaseCost gather_parameters(const LayerSetting& setting, const Parameters& parameters) {
  return collective(setting, parameters, kHalf);
}

PhaseCost reduce_gradients(const LayerSetting& setting, const Parameters& parameters) {
  return collective(setting, parameters, setting.training.gradient_bytes);
}

StageUpdate stage_update(const LayerSetting& setting, const Parameters& parameters) {
  const Training& training = setting.training;
  const Hardware& hardware = setting.hardware;
  StageUpdate update;
  if (training.zero < 2)
    update.reduce = (training.zero == 0 ? 2 : 1) * reduce_gradients(setting, parameters).seconds();
  const bool is_divided = training.zero > 0;
  const double updated = parameters.plain / (is_divided ? real(plain_replicas(setting).size) : 1) +
                         parameters.expert / (is_divided ? real(expert_replicas(setting).size) : 1);
  // Gradients are read, fp32 parameters and moments read and written, bf16 parameters written.
  const double bytes = training.gradient_bytes + 2 * (kFull + 2 * training.moment_bytes) + kHalf;
  update.optimizer = hardware.compute_scale * updated * bytes /
                     (hardware.memory_bandwidth * hardware.efficiency.memory);
  if (training.zero == 1 || training.zero == 2)
    update.gather = gather_parameters(setting, parameters).seconds();
  return update;
}

}  // namespace bubblescope

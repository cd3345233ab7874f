#include "sim/data_parallel.h"

#include <algorithm>

#include "sim/analytic_units.h"

namespace bubblescope {
namespace {

/// `size` GPUs, each so many behind the one before.
ReplicaGroup group_of(std::int64_t size, std::int64_t stride, const Hardware& hardware) {
  const std::int64_t per_node = std::clamp<std::int64_t>(hardware.gpus_per_node / stride, 1, size);
  return {size, per_node, (size + per_node - 1) / per_node};
}

/// `bytes` of each parameter, gathered or reduced over those that have the same.
PhaseCost collective(const LayerSetting& setting, const Parameters& parameters, double bytes) {
  PhaseCost cost;
  const auto add = [&](const ReplicaGroup& group, double all) {
    const Bound bound = group.nodes > 1 ? Bound::Network : Bound::NvLink;
    cost.traffic += all * real(group.size - 1) / real(group.size);
    cost.seconds_by_bound[static_cast<std::size_t>(bound)] +=
        collective_seconds(setting, group, all);
  };
  add(plain_replicas(setting), bytes * parameters.plain);
  if (parameters.expert > 0)
    add(expert_replicas(setting), bytes * parameters.expert);
  return cost;
}

}  // namespace

ReplicaGroup plain_replicas(const LayerSetting& setting) {
  const Parallel& parallel = setting.parallel;
  return group_of(parallel.replicas(), parallel.tensor, setting.hardware);
}

ReplicaGroup expert_replicas(const LayerSetting& setting) {
  const Parallel& parallel = setting.parallel;
  return group_of(parallel.expert_replicas(), parallel.expert * parallel.expert_tensor(),
                  setting.hardware);
}

double collective_seconds(const LayerSetting& setting, const ReplicaGroup& group, double bytes) {
  const Hardware& hardware = setting.hardware;
  const double nvlink = hardware.nvlink_bandwidth * hardware.efficiency.nvlink;
  const double network = hardware.nic_bandwidth * hardware.efficiency.network;
  const auto ring = [](std::int64_t size, double all, double rate, Time latency) {
    return all * real(size - 1) / real(size) / rate + real(size - 1) * seconds(latency);
  };
  if (group.nodes == 1)
    return ring(group.size, bytes, nvlink, hardware.nvlink_latency);
  if (setting.training.collectives == Collectives::Ring)
    return ring(group.size, bytes, std::min(nvlink, real(group.per_node) * network),
                hardware.nic_latency);
  return ring(group.per_node, bytes, nvlink, hardware.nvlink_latency) +
         ring(group.nodes, bytes / real(group.per_node), network, hardware.nic_latency);
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
  update.optimizer = updated * bytes / (hardware.memory_bandwidth * hardware.efficiency.memory);
  if (training.zero == 1 || training.zero == 2)
    update.optimizer += gather_parameters(setting, parameters).seconds();
  return update;
}

}  // namespace bubblescope

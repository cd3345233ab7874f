#include "sim/transformer/collectives.h"

#include <algorithm>

#include "sim/transformer/analytic_units.h"

namespace bubblescope {
namespace {

double collective_seconds(const LayerSetting& setting, const GpuGroup& group, double bytes) {
  const Hardware& hardware = setting.hardware;
  const double nvlink = hardware.nvlink_bandwidth * hardware.efficiency.nvlink;
  const double network = hardware.nic_bandwidth * hardware.efficiency.network;
  const auto ring = [](std::int64_t size, double all, double rate, Time latency) {
    return all * real(size - 1) / real(size) / rate + real(size - 1) * seconds(latency);
  };
  if (group.nodes == 1 && hardware.kernels && hardware.kernels->all_gather)
    return hardware.sustained.collectives *
           hardware.kernels->all_gather->seconds(real(group.size), bytes);
  if (group.nodes == 1)
    return ring(group.size, bytes, nvlink, hardware.nvlink_latency);
  if (setting.training.collectives == Collectives::Ring)
    return ring(group.size, bytes, std::min(nvlink, real(group.per_node) * network),
                hardware.nic_latency);
  return ring(group.per_node, bytes, nvlink, hardware.nvlink_latency) +
         ring(group.nodes, bytes / real(group.per_node), network, hardware.nic_latency);
}

}  // namespace

GpuGroup group_of(std::int64_t size, std::int64_t stride, const Hardware& hardware) {
  const std::int64_t per_node = std::clamp<std::int64_t>(hardware.gpus_per_node / stride, 1, size);
  return {size, per_node, (size + per_node - 1) / per_node};
}

PhaseCost collective_cost(const LayerSetting& setting, const GpuGroup& group, double bytes) {
  PhaseCost cost;
  if (bytes <= 0)
    return cost;
  const Bound bound = group.nodes > 1 ? Bound::Network : Bound::NvLink;
  cost.traffic = bytes * real(group.size - 1) / real(group.size);
  cost.seconds_by_bound[static_cast<std::size_t>(bound)] =
      collective_seconds(setting, group, bytes);
  return cost;
}

}  // namespace bubblescope

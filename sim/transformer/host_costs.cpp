#include "sim/transformer/host_costs.h"

#include <algorithm>

#include "sim/transformer/analytic_units.h"
#include "sim/transformer/layer_phases.h"

namespace bubblescope {
namespace {

void add(LayerCost& layer, PhaseId id, double seconds) {
  PhaseCost cost;
  cost.seconds_by_bound[static_cast<std::size_t>(Bound::Host)] = seconds;
  layer[static_cast<std::size_t>(id)] += cost;
}

}  // namespace

void add_host(const LayerSetting& setting, const LayerKind& kind, LayerCost& layer) {
  const Hardware::Host& host = setting.hardware.host;
  const Training& training = setting.training;
  if (training.cuda_graphs == CudaGraphs::Full)
    return;
  // Attention and what follows it are launched in about as long as each other.
  const bool is_halved = training.cuda_graphs == CudaGraphs::Attention ||
                         (training.cuda_graphs == CudaGraphs::Moe && kind.experts);
  const double share = is_halved ? 0.5 : 1;
  const double forward = share * seconds(host.layer_forward);
  const double backward =
      share * seconds(host.layer_backward) + (training.recompute.layer ? forward : 0);
  const double runs = compute_seconds(layer, OpKind::BackwardInput) +
                      compute_seconds(layer, OpKind::BackwardWeight);
  add(layer, PhaseId::HostF, std::max(0.0, forward - compute_seconds(layer, OpKind::Forward)));
  add(layer, PhaseId::HostB, std::max(0.0, backward - runs));
  if (!kind.experts || setting.parallel.expert == 1 || training.dispatch != Dispatch::AllToAll)
    return;
  const bool is_again = training.recompute.layer || training.recompute.experts;
  add(layer, PhaseId::HostF, seconds(host.experts));
  add(layer, PhaseId::HostB, (is_again ? 2 : 1) * seconds(host.experts));
}

void add_host_of_action(const LayerSetting& setting, LayerCost& layer) {
  if (setting.training.cuda_graphs != CudaGraphs::Full)
    for (const PhaseId id : {PhaseId::HostF, PhaseId::HostB})
      add(layer, id, seconds(setting.hardware.host.action));
}

}  // namespace bubblescope

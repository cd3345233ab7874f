// An action of timed work that talks to other experts while it computes.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/cuda/spin_kernels.h"
#include "backend_cuda/cuda/wire.h"
#include "backend_cuda/cuda/work.h"

namespace bubblescope::gpu {

/// Puts the phases of an action on two streams, in the order and with the dependencies of its costs
/// (sim/costs/phases.h). Those whose costs tell what they send are all-to-alls with the other
/// replicas; the others last as long as their costs say, beside what stands beside them there.
class ExpertPhases {
 public:
  /// Finds the phases of all actions of the rank that is here. All have to outlive it. The rank's
  /// GPU is current.
  ExpertPhases(const Plan& plan, Rank rank, const Layout& layout, Wire& wire);

  /// Whether the action has any that send.
  bool has(const Action& action) const { return runs_.contains(key(action)); }
  std::size_t operations(const Action& action) const;
  void enqueue(const Action& action, cudaStream_t stream);
  bool is_idle() const { return BUBBLESCOPE_IS_DONE(cudaStreamQuery(expert_.get())); }

 private:
  using Key = std::pair<std::uint32_t, std::uint32_t>;
  /// Actions of one kind and stage have the same phases.
  static Key key(const Action& action);

  const Layout& layout_;
  Wire& wire_;
  std::map<Key, PhaseRun> runs_ = {};
  Stream expert_;
  std::vector<Event> events_ = {};  // [span of an action], and its end; each action uses them anew
  DeviceBuffer<Stamp> ignored_{1, "a stamp"};
};

}  // namespace bubblescope::gpu

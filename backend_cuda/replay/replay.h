// Runs a plan on an executor, step by step, under a watchdog.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "backend_cuda/replay/executor.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

struct ReplayOptions {
  int warm_ups = 0;  ///< Steps that are run first and forgotten.
  int repeats = 1;
  /// A step in which nothing ends for this long is aborted.
  std::chrono::milliseconds timeout{30'000};
  bool check_parity = true;
  /// Set from outside (a signal), it aborts the step; may be null.
  const std::atomic<bool>* interrupted = nullptr;
  /// A fault that shows within this is told instead of the interruption: launchers end all
  /// processes once one has died.
  std::chrono::milliseconds fault_grace{0};
};

/// A step that did not come to its end. The message names rank, op and what it waited for.
class ReplayFault : public DeviceError {
 public:
  ReplayFault(const std::string& what, RunTimes times)
      : DeviceError(what), times_(std::move(times)) {}
  const RunTimes& times() const { return times_; }  ///< How far it came.

 private:
  RunTimes times_;
};

struct Replay : MeasuredSteps {
  RunTimes times = {};  ///< The moments of the step whose length is the median.
};

/// Throws ReplayFault, or DeviceError where the machine failed before the first step.
Replay replay(const Plan& plan, Executor& executor, const ReplayOptions& options);

/// When the first action began, Time::max() where none has. Receives may be posted before it.
Time origin_of(const Plan& plan, const RunTimes& times);

/// Spans by node of the graph of the same program, shifted so that the first action starts at 0.
/// Nodes that have not ended have a span of no length, at the last moment known.
Timeline to_timeline(const DependencyGraph& graph, const Plan& plan, const RunTimes& times,
                     std::string source);

/// Why a step does not go on: the circle that `describe_deadlock` tells, or the action that began
/// and did not end, with those that wait for it.
///
///     rank 1: 1F2 has begun and not ended; behind it
///       rank 0: 0B0 waits for rank 1: send of 1I0 to rank 0
///       …
std::string describe_stall(const Plan& plan, const RunTimes& times);

}  // namespace bubblescope

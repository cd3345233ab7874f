// Measures what processes send one another, and what that costs those who compute beside it.
#pragma once

#include <vector>

#include "backend_cuda/replay/calibration.h"

namespace bubblescope {

/// Messages of several sizes go one at a time along a chain of stages; with replicas, an F of each
/// stage is one all-to-all among them, of several sizes too. Tells `profile` the machine. Throws
/// DeviceError.
MeasuredLinks measure_links(const ExecutorMaker& make_executor, const Calibration& calibration,
                            Profile& profile);

/// With Workload::Tensors: waves of F beside messages that last as long as an F, against an F
/// alone, for several limits of CTAs, or for that of the options. The same errors.
std::vector<Contention> measure_contention(const ExecutorMaker& make_executor,
                                           const Calibration& calibration, Profile& profile);

}  // namespace bubblescope

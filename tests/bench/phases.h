// How fast a schedule whose actions consist of phases is predicted.
#pragma once

#include <cstdint>

namespace bubblescope::bench {

struct PhaseFigures {
  std::int64_t phases = 0;  ///< That the actions of the schedule run.
  double phases_per_s = 0;  ///< From order to Timeline; median of the repeats.
};

/// DualPipe on the phases of the table deepseek-v3-h800.
PhaseFigures measure_phases();

}  // namespace bubblescope::bench

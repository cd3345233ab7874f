// The simulator's inner loops beside what this machine could do at best.
#pragma once

#include "sim/schedule/catalogue.h"

namespace bubblescope::bench {

struct KernelFigures {
  double sweep_ms = 0;       ///< bubblescope::sweep, median
  double bare_ms = 0;        ///< The same longest paths by bare loops over the same arrays, median.
  double sweep_to_bare = 0;  ///< Speed of the one / speed of the other: median of their pairs.
  double events_ms = 0;      ///< simulate(…, Engine::Events), median
};

/// Sweeps in pairs, ours and bare in turn, and the event queue `event_repeats` times, in a process
/// of its own. Throws where the three do not give the same Timeline.
KernelFigures measure_kernels(Shape shape, int pairs, int event_repeats);

/// One thread's best of some copies of 256 MiB by std::copy, in bytes read + bytes written a
/// second.
double measure_copy_bandwidth();

}  // namespace bubblescope::bench

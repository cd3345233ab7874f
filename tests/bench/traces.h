// How fast traces are written and read.
#pragma once

#include <cstdint>

namespace bubblescope::bench {

struct TraceFigures {
  std::int64_t slices = 0;        ///< Of the timeline that is written.
  double chrome_bytes_per_s = 0;  ///< Best of the repeats, as are all.
  double kineto_bytes_per_s = 0;
  double read_bytes = 0;        ///< Of a profiler's trace.
  double read_bytes_per_s = 0;  ///< From the page cache, on one core.
  double read_peak_bytes = 0;   ///< By which reading raised the peak of memory.
};

TraceFigures measure_traces();

}  // namespace bubblescope::bench

#include "analysis/fits.h"

namespace bubblescope {

bool fits(const Report& report, const MemoryLimit& limit) {
  if (limit.live_activations && report.peak_live_activations > *limit.live_activations)
    return false;
  return !limit.bytes || (report.peak_memory && *report.peak_memory <= *limit.bytes);
}

}  // namespace bubblescope

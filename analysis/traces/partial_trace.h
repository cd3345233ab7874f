// A run that did not come to its end, as Chrome trace JSON.
#pragma once

#include "analysis/figures/measurement.h"
#include "analysis/traces/sink.h"

namespace bubblescope {

/// The fault stands among "otherData". One process a rank, whose
/// thread 1 has the actions and those behind it the messages that it receives, each as far as it
/// came: what had begun and not ended, or was waited for, lasts until a little after the last
/// moment known, is red, and says so.
void write_partial_trace(const RunRecord& run, const Sink& sink);

}  // namespace bubblescope

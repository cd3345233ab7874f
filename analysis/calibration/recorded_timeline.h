// Runs that `bubblescope replay -o measured.json` wrote, read back.
#pragma once

#include <string>
#include <vector>

#include "analysis/calibration/measured_run.h"

namespace bubblescope {

/// Reads one file a step, all of one schedule. Throws Error, with file and JSON path, for what is
/// no "bubblescope-timeline/1", an action that never ran or ends before it starts, and files that
/// differ in schedule or shape.
RunProfile read_recorded_timelines(const std::vector<std::string>& paths);

}  // namespace bubblescope

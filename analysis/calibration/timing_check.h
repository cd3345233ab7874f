// Whether timings of kernels can be those of a GPU.
#pragma once

#include <string>
#include <vector>

#include "analysis/calibration/timing_file.h"
#include "sim/transformer/hardware.h"

namespace bubblescope {

/// Throws Error, with file and line, for a kernel that took half of what the GPU's peak allows or
/// less, or absurdly long, and for files whose products are all slower by far. Returns what may be
/// of another GPU, as notes.
std::vector<std::string> check_timings(const std::vector<TimingFile>& files,
                                       const Hardware& hardware);

}  // namespace bubblescope

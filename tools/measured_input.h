// What `calibrate INPUT…` reads: measured steps in the formats that training runs leave behind.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/calibration/measured_run.h"
#include "tools/options/output_options.h"
#include "tools/options/shape_options.h"

namespace bubblescope {

struct MeasuredInputOptions {
  std::vector<std::string> paths;  ///< Files, or folders of one run each.
  std::string schedule;            ///< A name of the catalogue; empty: as the input tells.
  std::optional<int> group_size;
  CommOptions comm;
};

/// Reads Primus dumps, timelines of `replay -o` or annotated traces, whichever the files are, and
/// lays them over the schedule that was asked for or that they tell. Throws UsageError for what is
/// wrong on the command line, Error for what is wrong in a file.
MeasuredRun read_measured_run(const MeasuredInputOptions& options, const GlobalOptions& global);

}  // namespace bubblescope

// From a subject and a machine to a predicted and a measured Timeline: the way of `replay` and
// `validate`.
#pragma once

#include <span>
#include <string>

#include "analysis/figures/measurement.h"
#include "analysis/views/replay_view.h"
#include "tools/job.h"
#include "tools/options/machine_options.h"
#include "tools/options/trace_option.h"
#include "tools/predict.h"
#include "tools/subject.h"

namespace bubblescope {

/// How a step is measured, and where a trace goes of one that does not come to its end.
struct MeasureOptions {
  MachineChoice machine = {};
  TraceOption trace = {};
  Job* job = nullptr;  ///< Of --backend nccl.

  /// Whether this process tells and writes what was measured.
  bool tells() const { return job == nullptr || job->leads(); }
};

struct Measured {
  Prediction prediction;
  Timeline timeline;  ///< Of the step whose length is the median.
  RunRecord record;
  Measurement measurement;
};

/// A subject as the machine's options want it read; they have to outlive it.
SubjectRules subject_rules(const MachineChoice& machine, const CostCommandOptions& costs);

/// Notes what is given and does not show in a run of a step on a machine.
void note_what_is_not_run(const SubjectOptions& options, std::span<const Subject> subjects,
                          const GlobalOptions& global);

/// UTC, ISO 8601.
std::string now_in_utc();

/// Throws ReplayFault where a step does not come to its end, once its trace is written, and
/// DeviceError where there is no such machine. Throws Error for a program that deadlocks or is
/// unsound, before anything starts; where it is not checked, it runs until that shows, and Error
/// tells that it did not. All processes of a job call it alike.
Measured measure(Subject subject, const MeasureOptions& options, const GlobalOptions& global,
                 Progress& progress);

}  // namespace bubblescope

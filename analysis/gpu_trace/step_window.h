// Which of a trace's steps count, and on which clock: what has to be settled before ranks are
// compared.
#pragma once

#include <cstdint>

#include "analysis/gpu_trace/trace_reader.h"

namespace bubblescope {

enum class WindowKind : std::uint8_t {
  Common,  ///< From the first start to the last end over all ranks.
  OfRank,  ///< Of each rank alone, as HolisticTraceAnalysis has it.
};
enum class StepChoice : std::uint8_t {
  All,
  DropLast,  ///< What was launched before the last ProfilerStep began.
};

struct SelectOptions {
  WindowKind window = WindowKind::Common;
  StepChoice steps = StepChoice::All;
  bool round_us = false;  ///< As `round_to_us` does.
};

/// Rounds, drops and, for a window over several ranks: where ranks tell of different ProfilerSteps,
/// keeps what was launched in those that all have; where the ranks' clocks have no time in common,
/// lets the first common ProfilerStep begin at one time. What was done is noted. Throws Error where
/// nothing is left, and where clocks differ and no ProfilerStep is common.
void select_steps(TraceSet& traces, const SelectOptions& options);

}  // namespace bubblescope

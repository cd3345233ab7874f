// How busy GPUs are in traces, why they idle, and what with. Definitions are those of
// HolisticTraceAnalysis (github.com/facebookresearch/HolisticTraceAnalysis) where it has them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "analysis/gpu_trace/range_figures.h"
#include "analysis/gpu_trace/step_window.h"
#include "analysis/gpu_trace/trace_reader.h"

namespace bubblescope {

/// Time without work, by what its end waited for.
struct IdleReasons {
  Time before{};       ///< In the window, before the first event.
  Time host_wait{};    ///< The next event was launched after all before it had ended.
  Time kernel_wait{};  ///< It was launched earlier, and the gap is shorter than 30 µs.
  Time other{};        ///< It was launched earlier, or no launch is known, and the gap is longer.
  Time after{};        ///< In the window, after the last event.

  Time sum() const { return before + host_wait + kernel_wait + other + after; }
};

/// Gaps of a stream lie between the latest end so far and the next start, so that they sum with the
/// busy time to the window, also where events overlap or lie in one another.
struct StreamFigures {
  std::string stream = {};
  std::size_t events = 0;
  Time busy{};  ///< Of the union of its events.
  IdleReasons idle = {};
};

struct FamilyFigures {
  std::string family = {};
  KernelClass kernel_class = KernelClass::Compute;
  std::size_t count = 0;
  Time time{};  ///< Sum of durations.
};

struct GpuRankFigures {
  std::int64_t rank = 0;
  std::string place = {};
  std::string device = {};  ///< As in the trace; empty where it has no GPU.
  Time window{};
  Time busy{};                    ///< Any event.
  Time idle{};                    ///< window − busy
  Time compute{};                 ///< Any that computes.
  Time communication{};           ///< Any that communicates.
  Time memory{};                  ///< Any copy or fill.
  Time overlap{};                 ///< Computes and communicates.
  Time exposed_communication{};   ///< communication − overlap
  IdleReasons idle_reasons = {};  ///< They sum to `idle`.
  std::vector<StreamFigures> streams = {};
  std::vector<FamilyFigures> families = {};  ///< The longest first.
  std::vector<RangeFigures> ranges = {};  ///< The longest first; on the GPU where there are such.
};

struct GpuFigures {
  WindowKind window = WindowKind::Common;
  std::vector<GpuRankFigures> ranks = {};
};

/// Each rank has events.
GpuFigures gpu_figures(const TraceSet& traces, const KernelNames& names, WindowKind window);

}  // namespace bubblescope

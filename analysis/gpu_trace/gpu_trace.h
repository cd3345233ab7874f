// What a trace tells of a rank's GPU: the model that readers fill and figures are taken from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "analysis/gpu_trace/kernel_names.h"
#include "sim/base/types.h"

namespace bubblescope {

/// A kernel, a copy or a fill on a stream.
struct GpuEvent {
  static constexpr Time kNoLaunch = Time::min();

  Time start{};
  Time end{};
  Time launch = kNoLaunch;  ///< When the host's call that made it began, where the trace tells.
  KernelNames::Id name = 0;
  std::uint32_t stream = 0;  ///< An index into the rank's streams.
};

/// A range that has a name: on the host, or on a stream of the GPU.
struct TraceRange {
  static constexpr std::uint32_t kHost = ~std::uint32_t{0};

  Time start{};
  Time end{};
  std::uint32_t name = 0;  ///< An index into the rank's range names.
  std::uint32_t stream = kHost;
};

/// ProfilerStep#N, on the host.
struct ProfilerStep {
  std::int64_t number = 0;
  Time start{};
  Time end{};
};

struct RankTrace {
  static constexpr std::int64_t kUnknownRank = -1;

  std::int64_t rank = kUnknownRank;
  std::string place = {};    ///< "rank0.json", "all.json, device 1" or "all.json, process 3"
  std::string device = {};   ///< As its events tell it; empty where they are none of a GPU.
  bool shares_file = false;  ///< Other GPUs are in its file.
  std::vector<std::string> streams = {};                             ///< "7", or "thread 3"
  std::vector<GpuEvent> events = {};                                 ///< By start.
  std::vector<ProfilerStep> steps = {};                              ///< By start.
  std::shared_ptr<const std::vector<std::string>> range_names = {};  ///< Of all its file's ranks.
  std::vector<TraceRange> ranges = {};                               ///< By start.
};

/// Time stamps to whole µs as HolisticTraceAnalysis rounds them by default: starts up, ends down,
/// of the doubles that the file's decimals are read as. What is shorter than that may end before it
/// starts.
void round_to_us(RankTrace& trace);

/// What the host launched at `from` or later and before `to`; what no launch is known of goes too,
/// and is counted.
std::size_t keep_launched_between(RankTrace& trace, Time from, Time to);

}  // namespace bubblescope

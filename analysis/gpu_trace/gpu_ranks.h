// Makes a rank of each GPU of a file, with what its host launched.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/gpu_trace/gpu_trace.h"

namespace bubblescope {

/// HostRecords are what one process of the host did.
struct HostRecords {
  struct Launch {
    std::int64_t correlation = 0;
    Time start{};
  };
  std::string process = {};
  std::vector<Launch> launches = {};
  std::vector<TraceRange> ranges = {};
  std::vector<ProfilerStep> steps = {};
};

/// GpuStream names a stream as its events do.
struct GpuStream {
  std::string process = {};
  std::string device = {};  ///< Empty where only the process tells it.
  std::string name = {};
};

struct GpuRecords {
  std::vector<GpuEvent> events = {};    ///< `launch` is the correlation, `stream` one of these.
  std::vector<TraceRange> ranges = {};  ///< On streams.
  std::vector<GpuStream> streams = {};
  std::vector<HostRecords> hosts = {};
  std::vector<std::string> range_names = {};
};

/// Each device is a rank, and so is each process where several have a device of one number, as in
/// files that were merged. `told_rank` is that of the device of this number or, if there is none,
/// of the one with most events. Several hosts may have launched on several GPUs: those with the id
/// of the GPU's process, or else with its name ("[TP00-PP01] 7" of "[TP00-PP01] 4037"), or else
/// all. A launch is the one with the event's correlation; where several of these hosts have such,
/// it is unknown, which is noted. There are events.
std::vector<RankTrace> gpu_ranks(const std::string& path, std::optional<std::int64_t> told_rank,
                                 GpuRecords records, std::vector<std::string>& notes);

}  // namespace bubblescope

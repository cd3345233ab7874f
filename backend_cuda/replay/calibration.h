// What is calibrated, and with which executors.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "backend_cuda/replay/executor.h"
#include "backend_cuda/replay/profile.h"
#include "backend_cuda/replay/replay.h"

namespace bubblescope {

/// The executor of a machine, for any plan.
using ExecutorMaker =
    std::function<std::unique_ptr<Executor>(const Plan& plan, const ExecutorOptions& options)>;

struct Calibration {
  int ranks = 1;
  ExecutorOptions options = {};   ///< `shape.blocks` is a rank's share of the model.
  std::vector<int> chunks = {1};  ///< For stages of so many-th parts of it, where they divide it.
  Time action = std::chrono::microseconds(200);  ///< How long a timed action lasts.
  Link link = {};
  /// [rank] Where ranks are processes: on which host each is. Else links are not measured.
  std::vector<std::int32_t> node_of_rank = {};
  int replicas = 1;           ///< Processes of one rank, which send to one another as experts do.
  int repeats = 9;            ///< Of each benchmark, in turn with the others; medians count.
  ReplayOptions replay = {};  ///< Its timeout and interruption.
};

}  // namespace bubblescope

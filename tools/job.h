// The processes of `--backend nccl`: one a GPU, which a launcher has started.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend_cuda/cluster/control.h"
#include "tools/options/machine_options.h"
#include "tools/options/output_options.h"

namespace bubblescope {

struct Job {
  Seat seat;
  std::chrono::milliseconds timeout;  ///< Of a step in which nothing ends.
  std::unique_ptr<Control> control = nullptr;
  std::vector<std::int32_t> node_of_process = {};  ///< Hosts, in the order in which they appear.

  /// Only the first process tells and writes.
  bool leads() const { return control->leads(); }
};

/// Of the whole plan; all processes make theirs together. The plan has to outlive it. Throws
/// DeviceError, in one line, where the processes do not fit the plan, have plans that differ, or
/// their machines are not fit for it.
std::unique_ptr<Executor> make_executor(Job& job, const Plan& plan, const ExecutorOptions& options);

/// [rank] Of the first pipeline: hosts, numbered as they appear along the ranks.
std::vector<std::int32_t> nodes_of_ranks(const Job& job, int ranks);

/// Ends a process of a job for the fault of another one.
struct FaultElsewhere {
  int code;
  std::string what = {};  ///< To be told here; empty where another process tells it.
};

/// Runs `work` with the job that this process belongs to, or with null where the backend needs
/// none; in all processes but the first nothing is told on stderr. What is thrown in one process
/// ends all: the first tells it, or the second where the first is lost; the others throw
/// FaultElsewhere. Throws DeviceError where processes are missing or have other options.
int in_job(const MachineChoice& machine, const GlobalOptions& global,
           const std::function<int(Job* job, const GlobalOptions& global)>& work);

}  // namespace bubblescope

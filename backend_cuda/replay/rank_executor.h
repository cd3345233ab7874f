// What a process of a job does: it runs one rank of a plan, in step with the others.
#pragma once

#include <memory>
#include <optional>

#include "backend_cuda/replay/executor.h"

namespace bubblescope {

class Control;

/// `start` launches a step, which waits to be opened. `times` are by this host's steady clock in ns
/// since its epoch, kNever for what is elsewhere; a message has the span of its end that is here.
/// `clock_uncertainty` is against this host's clock. `ended` counts what is here. `parity` compares
/// the stages that are here with a run of all micro-batches; its loss is the share of the stages
/// here.
class RankExecutor : public Executor {
 public:
  /// Whether all of the step is launched. Throws DeviceError where that failed.
  virtual bool is_ready() = 0;
  /// Lets it begin.
  virtual void open() = 0;
  /// The first action here that has begun and not ended.
  virtual std::optional<InstructionId> running() const = 0;
};

/// What this process runs: rank `rank` of the plan, as one of `replicas` pipelines that train the
/// same model on other micro-batches. Processes are numbered replica after replica, rank by rank:
/// the ranks of a pipeline lie `replicas` apart, as Megatron-Core numbers them.
struct RankPlace {
  Rank rank = 0;
  int replica = 0;
  int replicas = 1;
  int gpu = 0;  ///< Among those of this host.

  int process_of(Rank other) const { return other * replicas + replica; }
};

/// The variable of the environment that names NCCL's file, where it is not the loader's.
constexpr const char* kNcclLibraryVariable = "BUBBLESCOPE_NCCL_LIBRARY";

/// Throws DeviceError with a reason of one line where this machine has no GPU or no NCCL.
constexpr const char* kCheckNccl = "bubblescope_check_nccl";
using CheckNccl = void (*)();

/// The name under which a module exports its maker.
constexpr const char* kMakeRankExecutor = "bubblescope_make_rank_executor";
/// All processes call it together. Throws DeviceError with a reason of one line where the machine
/// is not fit for it, and PeerLost. The plan and the control have to outlive the executor.
using MakeRankExecutor = RankExecutor* (*)(const Plan& plan, const ExecutorOptions& options,
                                           const RankPlace& place, Control& control);

}  // namespace bubblescope

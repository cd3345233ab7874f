// What a machine has to do to replay a plan. Nothing that runs, times or compares plans knows more.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include "backend_cuda/replay/plan.h"
#include "sim/engine/measured_steps.h"

namespace bubblescope {

/// A device or a peer failed or is missing.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// When everything ran, on one clock that all ranks share; kNever for what has not begun or ended.
struct RunTimes {
  std::vector<Span> instructions = {};  ///< [InstructionId] A transfer starts when it is posted.
  std::vector<Span> messages = {};      ///< [MessageId] From when both ends are there to arrival.

  /// Counts all moments from `origin` on.
  void count_from(Time origin) {
    for (std::vector<Span>* spans : {&instructions, &messages})
      for (Span& span : *spans)
        for (Time* time : {&span.start, &span.end})
          if (*time != kNever)
            *time -= origin;
  }
};

/// What the ranks compute.
enum class Workload : std::uint8_t {
  Timed,    ///< Each action lasts as long as its costs say.
  Tensors,  ///< Each stage is a stack of residual MLP blocks, with real matrix products.
};

/// y = x + tanh(x·W1)·W2, `blocks` times; x and y are [tokens × hidden], W1 [hidden × inner].
struct TensorShape {
  int tokens = 8;
  int hidden = 16;
  int inner = 32;
  int blocks = 1;  ///< Of each stage.
  std::uint64_t seed = 1;

  /// Of an activation, or its gradient, on a GPU: in bf16.
  Bytes message_bytes() const { return Bytes{2} * tokens * hidden; }
};

/// A fault put in on purpose, to see that it is noticed.
struct Injection {
  enum class Kind : std::uint8_t { Hang, Fail };
  Kind kind;
  std::size_t action;  ///< Index in schedule.actions: it never ends, or fails.
};

/// How the work of a machine is launched; executors to which that means nothing ignore it.
enum class Launch : std::uint8_t {
  Graph,    ///< The whole step at once, as one CUDA graph.
  Streams,  ///< Kernel by kernel, ordered by events.
};

struct ExecutorOptions {
  Workload workload = Workload::Timed;
  TensorShape shape = {};
  bool real_time = false;  ///< Host: sleep or compute in real time; else on a virtual clock.
  Launch launch = Launch::Graph;
  bool partitions = true;    ///< CUDA, tensors: each rank on SMs of its own.
  int max_ctas = 0;          ///< NCCL: of each communicator; 0: as many as it likes.
  bool cross_check = false;  ///< CUDA: hold the stamps against CUPTI's times.
  std::optional<Injection> injection = {};
};

/// Runs the steps of one plan. Calls come from one thread; all but `abort` and `times` throw
/// DeviceError where the machine fails. The destructor leaves nothing running.
class Executor {
 public:
  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;

  virtual MachineFacts machine() const = 0;
  /// What ran so far was a warm-up, of which `machine` tells nothing.
  virtual void end_warm_up() {}
  /// Begins a step and returns soon.
  virtual void start() = 0;
  /// Waits until the step has ended, but not longer than `patience`; whether it has.
  virtual bool wait(std::chrono::milliseconds patience) = 0;
  /// How many instructions have ended: a watchdog sees by it that a step goes on.
  virtual std::size_t ended() const = 0;
  /// Ends whatever runs; afterwards `times` tells how far the step came.
  virtual void abort() noexcept = 0;
  /// Of the last step, once it has ended or was aborted.
  virtual RunTimes times() const = 0;
  /// By how much they may be wrong, of one rank against the clock that all share.
  virtual Time clock_uncertainty() const { return {}; }
  /// With Workload::Tensors, once a step has ended.
  virtual std::optional<Parity> parity() = 0;
};

/// The variable of the environment that names cublasLt's file, where it is not the loader's.
constexpr const char* kCublasLtVariable = "BUBBLESCOPE_CUBLASLT";

/// The name under which a module exports its maker.
constexpr const char* kMakeExecutor = "bubblescope_make_executor";
/// Throws DeviceError with a reason of one line where the machine is not fit for it. The plan has
/// to outlive the executor.
using MakeExecutor = Executor* (*)(const Plan& plan, const ExecutorOptions& options);

}  // namespace bubblescope

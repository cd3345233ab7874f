// What actions and messages do on a GPU's streams; in which order, the executor sees to.
#pragma once

#include <cstddef>
#include <cuda_runtime_api.h>
#include <memory>
#include <optional>
#include <vector>

#include "backend_cuda/cuda/stamp.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

/// Stands for the GPU of a rank that another process runs.
inline constexpr int kElsewhere = -1;

/// Where the ranks run, and what their kernels share with the host.
struct Layout {
  std::vector<int> gpu_of_rank;           ///< [rank] CUDA's number of its GPU, or kElsewhere.
  std::vector<unsigned int> sms_of_rank;  ///< [rank] On how many SMs its actions run.
  std::vector<cudaStream_t> partitions;   ///< [rank] A stream of its SMs; none if all are shared.
  unsigned int tick_ns;                   ///< %globaltimer of every GPU counts in multiples of it.
  const unsigned int* stop;               ///< For kernels: not 0 once they have to end.
  /// For kernels, [rank] how many ns the clock of its GPU is ahead of that of the first GPU.
  const long long* clock_ahead;
  /// Of as many pipelines that train the same model on other micro-batches, this is which.
  int replica = 0;
  int replicas = 1;

  bool is_here(Rank rank) const {
    return gpu_of_rank[static_cast<std::size_t>(rank)] != kElsewhere;
  }
  /// The multiple of the timer's tick that is nearest, since no spin can end between two.
  unsigned long long ticks_of(Time duration) const {
    const auto nanoseconds = static_cast<unsigned long long>(duration.count());
    return (nanoseconds + tick_ns / 2) / tick_ns * tick_ns;
  }
};

/// What a message carries, in device memory.
struct Payload {
  void* data;
  std::size_t bytes;
};

/// Gradients of a stage's weights: its entry in Placement::weights_of_stage, and their values.
struct StageGradients {
  Stage stage;
  float* values;
  std::size_t count;
};

class Wire;

/// Enqueues work on streams that may be captured into a graph, so nothing here allocates, waits or
/// touches the host. Whatever is enqueued writes its stamp. The GPU of the stream is current.
class Work {
 public:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  virtual ~Work() = default;

  /// How many operations an action or a message puts into its stream, at most.
  virtual std::size_t operations(const Instruction& action) const = 0;
  virtual std::size_t operations(MessageId message) const = 0;
  virtual void enqueue_action(const Instruction& instruction, Stamp* stamp,
                              cudaStream_t stream) = 0;
  /// Copies what is sent to where the receiver expects it. Lasts no less than the message's
  /// duration, unless the plan is eager: then it only copies.
  virtual void enqueue_message(MessageId message, Stamp* stamp, cudaStream_t stream) = 0;
  /// What leaves the rank that sends a message, or where its receiver expects it.
  virtual Payload payload(const TransferEnd& transfer) const = 0;
  /// Of all stages that are here; none where nothing is trained.
  virtual std::vector<StageGradients> gradients() const { return {}; }
  /// Phases of expert parallelism talk through it, from now on. It has to outlive the work.
  virtual void exchange_through(Wire& /*wire*/) {}
  /// Whether its own streams are empty, where it has any.
  virtual bool is_idle() const { return true; }
  /// Before the first instruction of a step: zeroes gradients and the loss.
  virtual void enqueue_reset(cudaStream_t stream) = 0;
  /// After a step, with the devices idle: throws DeviceError where an action found wrong data.
  virtual void check() {}
  /// After a step, with the device idle.
  virtual std::optional<Parity> parity() = 0;
};

/// Actions that last as long as their costs say, and messages that carry tokens. An action takes
/// one block of one SM, so that any number of ranks run beside each other. It finds the tokens of
/// its inputs and leaves those of its outputs; a message copies one. So a step whose order is wrong
/// is found out: `check` names the action. Plan and layout have to outlive the work.
std::unique_ptr<Work> make_timed_work(const Plan& plan, const Layout& layout);

/// Actions that compute: every stage is a stack of residual MLP blocks, and messages carry its
/// activations and gradients. Per micro-batch everything is the same to the last bit as in a run
/// without a pipeline, whose kernels and algorithms are the same; only gradients are summed in
/// another order. A step begins with NaN wherever an output will lie, so that reading too soon
/// spoils the result. Plan and layout have to outlive the work. Throws DeviceError where cublasLt
/// is missing or the shape does not suit it.
std::unique_ptr<Work> make_tensor_work(const Plan& plan, const TensorShape& shape,
                                       const Layout& layout);

}  // namespace bubblescope::gpu

// What actions and messages do on a GPU's streams; in which order, the executor sees to.
#pragma once

#include <cuda_runtime_api.h>
#include <optional>

#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

/// When something ran, by %globaltimer in ns; 0 for what has not begun or ended. Pinned memory, so
/// that the host sees how far a kernel that hangs has come.
struct Stamp {
  unsigned long long start;
  unsigned long long end;
};

/// Enqueues work on streams that may be captured into a graph, so nothing here allocates, waits or
/// touches the host. Whatever is enqueued writes its stamp.
class Work {
 public:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  virtual ~Work() = default;

  virtual void enqueue_action(const Instruction& instruction, Stamp* stamp,
                              cudaStream_t stream) = 0;
  /// Copies what is sent to where the receiver expects it, and lasts no less than the message's
  /// duration.
  virtual void enqueue_message(MessageId message, Stamp* stamp, cudaStream_t stream) = 0;
  /// Enqueued on the receiver's own stream when an eager message's copy is there: waits until its
  /// duration has passed since `sent` ended.
  virtual void enqueue_arrival(MessageId message, const Stamp* sent, cudaStream_t stream) = 0;
  /// Before the first instruction of a step: zeroes gradients and the loss.
  virtual void enqueue_reset(cudaStream_t stream) = 0;
  /// After a step, with the device idle.
  virtual std::optional<Parity> parity() = 0;
};

}  // namespace bubblescope::gpu

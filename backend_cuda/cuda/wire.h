// How messages leave and reach a process that runs one rank, with the others elsewhere.
#pragma once

#include <cstddef>
#include <cuda_runtime_api.h>
#include <span>

#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

/// Enqueues ends of messages. Those of one channel move in the order in which they are enqueued, at
/// this end and at the other.
class Wire {
 public:
  Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  virtual ~Wire() = default;

  virtual std::size_t channels() const = 0;
  /// Where one end of a message moves, which is this rank's.
  virtual std::size_t channel(const TransferEnd& transfer) const = 0;
  /// How many operations they put into their stream, at most.
  virtual std::size_t operations(std::span<const TransferEnd> transfers) const = 0;
  /// Transfers of one channel, which move together.
  virtual void enqueue(std::span<const TransferEnd> transfers, cudaStream_t stream) = 0;
  /// Whether phases of expert parallelism have anything to send, and anybody to send it to.
  virtual bool has_all_to_all() const = 0;
  /// Sends `bytes`, no more than the costs' phases send, to the same rank of all other replicas
  /// together. One operation of the stream.
  virtual void enqueue_all_to_all(Bytes bytes, cudaStream_t stream) = 0;
  /// Behind the last action of a step: adds up gradients over the processes that share weights.
  virtual void enqueue_reduction(cudaStream_t stream) = 0;

  /// "NCCL", "2.28.9": what the machine's facts tell of it.
  virtual MachineFacts facts() const = 0;
  /// Throws DeviceError where a connection has failed.
  virtual void check() = 0;
  /// Ends what moves or waits to. From any thread.
  virtual void abort() noexcept = 0;
};

}  // namespace bubblescope::gpu

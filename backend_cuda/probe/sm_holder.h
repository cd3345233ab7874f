// Keeps SMs from everything else for a while.
#pragma once

#include <chrono>
#include <set>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/probe/device.h"

namespace bubblescope::gpu {

/// Holds SMs, each with one block that takes all of its shared memory, so that no other block fits
/// beside it. The blocks sleep and spin in turn and use no memory bandwidth to speak of.
class SmHolder {
 public:
  struct Wish {
    /// For nothing else meanwhile. It has to outlive the holder, and to have been made together
    /// with the streams of what is to run beside it: CUDA gives streams its hardware queues in
    /// turn, and what shares a queue with the holder would wait for it.
    cudaStream_t stream;
    unsigned int sms;                 ///< At least one.
    std::chrono::milliseconds limit;  ///< After which the SMs are free again in any case.
  };

  /// Returns when the blocks run. Throws NotSupported if they do not all get an SM of their own.
  SmHolder(const Device& device, const Wish& wish);
  ~SmHolder() { release(); }
  SmHolder(const SmHolder&) = delete;
  SmHolder& operator=(const SmHolder&) = delete;

  /// The numbers (%smid) of the SMs that are held.
  const std::set<unsigned int>& sms() const { return sms_; }

  /// Whether every SM has been held up to now.
  bool is_running() const;

 private:
  void release() noexcept;

  SharedBuffer<unsigned int> flags_;  ///< [0] ends the blocks; the others are their seats.
  cudaStream_t stream_;
  std::set<unsigned int> sms_;
};

}  // namespace bubblescope::gpu

// %globaltimer of one GPU, by the host's steady clock.
#pragma once

#include <optional>

#include "backend_cuda/cuda/clock.h"
#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/replay/clock_line.h"

namespace bubblescope::gpu {

/// From readings before and after a step, so that their drift is known too.
class HostClock {
 public:
  /// %globaltimer counts in multiples of `tick_ns`.
  HostClock(int gpu, unsigned int tick_ns);

  /// Nothing else may run on the GPU. Throw DeviceError where it does not answer.
  void read_before();
  void read_after();

  /// In ns since the epoch of the steady clock.
  Time host_time(Time gpu_time) const { return line_.ours(gpu_time); }
  Time uncertainty() const { return line_.uncertainty(); }

 private:
  ClockReading read();

  int gpu_;
  unsigned int tick_ns_;
  SharedBuffer<ClockMailbox> mailbox_{1};
  Stream stream_;
  std::vector<ClockReading> readings_;
  ClockLine line_;
};

}  // namespace bubblescope::gpu

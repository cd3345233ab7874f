// %globaltimer, as the host sees it.
#pragma once

#include <chrono>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <optional>

#include "backend_cuda/cuda/clock_kernels.h"
#include "backend_cuda/cuda/handles.h"

namespace bubblescope::gpu {

/// The host's time and the device's, at about the same moment.
struct Exchange {
  std::chrono::steady_clock::time_point host;  ///< Half-way between asking and having the answer,
  std::chrono::nanoseconds bracket;            ///< which are this far apart.
  std::int64_t device;
};

/// Asks a kernel for %globaltimer many times and gives the exchange that was fastest, or nothing if
/// no answer came in time.
std::optional<Exchange> fastest_exchange(const SharedBuffer<ClockMailbox>& mailbox,
                                         cudaStream_t stream);

/// The fastest exchange of several rounds, which end with one that is fast enough: a host that is
/// busy with other things answers late, and sometimes too late. Throws DeviceError, which names the
/// GPU of the stream, if there is none.
Exchange read_clock(const SharedBuffer<ClockMailbox>& mailbox, cudaStream_t stream, int gpu);

/// What a thread that reads %globaltimer over and over finds.
struct TimerRate {
  unsigned int tick_ns;  ///< The greatest common divisor of all steps.
  double sm_clock_mhz;   ///< Of the SM that read.
};
/// Throws NotSupported if the timer stands still.
TimerRate measure_timer_rate(cudaStream_t stream);

}  // namespace bubblescope::gpu

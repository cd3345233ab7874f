// Kernels that read %globaltimer, behind launchers that host code can call. Every kernel ends by
// itself: one that waits for the host gives up after a time limit.
#pragma once

#include <cuda_runtime_api.h>

namespace bubblescope::gpu {

inline constexpr unsigned int kTimerChanges = 2048;

/// Differences between successive readings of %globaltimer that differ, and how many readings that
/// took. There are fewer than kTimerChanges changes if the timer stood still for too long.
struct TimerReadings {
  unsigned long long differences[kTimerChanges];
  unsigned int changes;
  unsigned int readings;
  unsigned long long cycles;  ///< Of the SM's clock, from the first reading to the last.
};

/// Where the host asks for %globaltimer and a kernel answers. Each flag has its own cache line.
struct ClockMailbox {
  alignas(128) unsigned int request;  ///< The host counts up; the kernel answers each number once.
  alignas(128) unsigned int reply;    ///< The last request answered,
  unsigned long long time;            ///< and %globaltimer when it was seen.
};

struct AnswerLaunch {
  ClockMailbox* mailbox;  ///< Shared with the host.
  unsigned int requests;
  unsigned long long limit_ns;
};

/// Loads the kernels now: one that is first loaded beside a running kernel may wait for it.
cudaError_t load_clock_kernels();

cudaError_t launch_read_timer(TimerReadings* readings, cudaStream_t stream);
cudaError_t launch_answer(const AnswerLaunch& launch, cudaStream_t stream);

}  // namespace bubblescope::gpu

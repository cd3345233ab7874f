#include "backend_cuda/cuda/clock_kernels.h"
#include "backend_cuda/cuda/global_timer.cuh"
#include "backend_cuda/cuda/load_kernels.cuh"

namespace bubblescope::gpu {
namespace {

__global__ void read_timer_kernel(TimerReadings* out) {
  __shared__ unsigned long long differences[kTimerChanges];
  constexpr unsigned int kMaxReadings = 4'000'000;
  unsigned int changes = 0;
  unsigned int readings = 0;
  unsigned long long last = global_timer();
  const long long start_cycle = clock64();
  for (; changes < kTimerChanges && readings < kMaxReadings; ++readings) {
    const unsigned long long now = global_timer();
    if (now != last) {
      differences[changes++] = now - last;
      last = now;
    }
  }
  out->cycles = static_cast<unsigned long long>(clock64() - start_cycle);
  for (unsigned int i = 0; i < changes; ++i)
    out->differences[i] = differences[i];
  out->changes = changes;
  out->readings = readings;
}

__global__ void answer_kernel(AnswerLaunch launch) {
  const volatile unsigned int* request = &launch.mailbox->request;
  volatile unsigned long long* time = &launch.mailbox->time;
  volatile unsigned int* reply = &launch.mailbox->reply;
  // More cycles than an SM runs until then, in case the timer stands still.
  const auto most_cycles = static_cast<long long>(4 * launch.limit_ns);
  const unsigned long long start = global_timer();
  const long long start_cycle = clock64();
  for (unsigned int i = 1; i <= launch.requests; ++i) {
    while (*request < i)
      if (global_timer() - start >= launch.limit_ns || clock64() - start_cycle > most_cycles)
        return;
    *time = global_timer();
    __threadfence_system();  // the host must see the time before the reply
    *reply = i;
  }
}

}  // namespace

cudaError_t load_clock_kernels() {
  return load_all(read_timer_kernel, answer_kernel);
}

cudaError_t launch_read_timer(TimerReadings* readings, cudaStream_t stream) {
  read_timer_kernel<<<1, 1, 0, stream>>>(readings);
  return cudaGetLastError();
}

cudaError_t launch_answer(const AnswerLaunch& launch, cudaStream_t stream) {
  answer_kernel<<<1, 1, 0, stream>>>(launch);
  return cudaGetLastError();
}

}  // namespace bubblescope::gpu

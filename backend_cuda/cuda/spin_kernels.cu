#include "backend_cuda/cuda/global_timer.cuh"
#include "backend_cuda/cuda/load_kernels.cuh"
#include "backend_cuda/cuda/spin_kernels.h"

namespace bubblescope::gpu {
namespace {

// Returns the first reading from `until` on, or 0 if the host ended the step. A look at its memory
// takes microseconds, so there is none shortly before the end, and else one now and then.
__device__ unsigned long long spin_until(unsigned long long until, const unsigned int* stop) {
  constexpr unsigned long long kLookTakes = 10'000;
  constexpr unsigned long long kBetweenLooks = 50'000;
  const volatile unsigned int* seen = stop;
  unsigned long long now = global_timer();
  unsigned long long next_look = now;
  while (now < until) {
    if (now >= next_look && until - now > kLookTakes) {
      if (*seen != 0)
        return 0;
      next_look = now + kBetweenLooks;
    }
    now = global_timer();
  }
  return now;
}

__device__ TimedToken read(const TimedToken* place) {
  return *static_cast<const volatile TimedToken*>(place);
}

__device__ void write(TimedToken* place, TimedToken token) {
  *static_cast<volatile TimedToken*>(place) = token;
}

__device__ void stamp_start(Stamp* stamp, unsigned long long start) {
  *static_cast<volatile unsigned long long*>(&stamp->start) = start;
}

__device__ void stamp_end(Stamp* stamp, unsigned long long end) {
  *static_cast<volatile unsigned long long*>(&stamp->end) = end;
}

__global__ void timed_action_kernel(TimedAction action) {
  const unsigned long long start = global_timer();
  stamp_start(action.stamp, start);
  for (const TimedInput& input : action.inputs)
    if (input.place != nullptr && read(input.place) != input.expected)
      *action.wrong = {input.expected, read(input.place)};
  const unsigned long long end = spin_until(start + action.nanoseconds, action.stop);
  if (end == 0)
    return;
  for (const TimedOutput& output : action.outputs)
    if (output.place != nullptr)
      write(output.place, output.token);
  stamp_end(action.stamp, end);
}

__global__ void timed_message_kernel(TimedMessage message) {
  const unsigned long long start = global_timer();
  stamp_start(message.stamp, start);
  const TimedToken token = read(message.from);
  const unsigned long long end = spin_until(start + message.nanoseconds, message.stop);
  if (end == 0)
    return;
  write(message.to, token);
  stamp_end(message.stamp, end);
}

__global__ void timed_arrival_kernel(TimedArrival arrival) {
  const auto ahead =
      static_cast<unsigned long long>(*arrival.receiver_ahead - *arrival.sender_ahead);
  spin_until(arrival.sent->end + arrival.nanoseconds + ahead, arrival.stop);
}

__global__ void gate_kernel(GateLaunch gate) {
  const volatile unsigned int* open = gate.open;
  const unsigned long long start = global_timer();
  while (*open == 0)
    if (global_timer() - start >= gate.limit_ns) {
      *static_cast<volatile unsigned int*>(gate.expired) += 1;
      return;
    }
}

__global__ void hang_kernel(Stamp* stamp, const unsigned int* stop) {
  stamp_start(stamp, global_timer());
  const volatile unsigned int* seen = stop;
  while (*seen == 0)
    __nanosleep(10'000);
}

__global__ void fail_kernel(Stamp* stamp) {
  stamp_start(stamp, global_timer());
  __threadfence_system();  // the host must see the stamp
  __trap();
}

}  // namespace

cudaError_t load_spin_kernels() {
  return load_all(timed_action_kernel, timed_message_kernel, timed_arrival_kernel, gate_kernel,
                  hang_kernel, fail_kernel);
}

cudaError_t launch_timed_action(const TimedAction& action, cudaStream_t stream) {
  timed_action_kernel<<<1, 1, 0, stream>>>(action);
  return cudaGetLastError();
}

cudaError_t launch_timed_message(const TimedMessage& message, cudaStream_t stream) {
  timed_message_kernel<<<1, 1, 0, stream>>>(message);
  return cudaGetLastError();
}

cudaError_t launch_timed_arrival(const TimedArrival& arrival, cudaStream_t stream) {
  timed_arrival_kernel<<<1, 1, 0, stream>>>(arrival);
  return cudaGetLastError();
}

cudaError_t launch_gate(const GateLaunch& gate, cudaStream_t stream) {
  gate_kernel<<<1, 1, 0, stream>>>(gate);
  return cudaGetLastError();
}

cudaError_t launch_hang(Stamp* stamp, const unsigned int* stop, cudaStream_t stream) {
  hang_kernel<<<1, 1, 0, stream>>>(stamp, stop);
  return cudaGetLastError();
}

cudaError_t launch_fail(Stamp* stamp, cudaStream_t stream) {
  fail_kernel<<<1, 1, 0, stream>>>(stamp);
  return cudaGetLastError();
}

}  // namespace bubblescope::gpu

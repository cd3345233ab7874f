// The test double's kernels: what those of clock_kernels.cu and spin_kernels.cu do, on threads.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <thread>

#include "backend_cuda/cuda/clock_kernels.h"
#include "backend_cuda/cuda/spin_kernels.h"
#include "tests/cuda_double/cuda_double.h"

namespace bubblescope::gpu {
namespace {

using cuda_double::launch;
using cuda_double::timer;

template <class T>
T load(const T* shared) {
  return std::atomic_ref(const_cast<T&>(*shared)).load(std::memory_order_acquire);
}

template <class T>
void store(T* shared, T value) {
  std::atomic_ref(*shared).store(value, std::memory_order_release);
}

/// One of the many kernels that wait at once on few cores.
void nap() {
  std::this_thread::sleep_for(std::chrono::microseconds(20));
}

std::uint64_t spin_until(std::uint64_t until, const unsigned int* stop, cudaStream_t stream) {
  std::uint64_t now = timer(stream);
  for (; now < until; now = timer(stream)) {
    if (load(stop) != 0 || cuda_double::is_broken())
      return 0;
    nap();
  }
  return now;
}

}  // namespace

cudaError_t load_clock_kernels() {
  return cudaSuccess;
}

cudaError_t launch_read_timer(TimerReadings* readings, cudaStream_t stream) {
  return launch(stream, [=] {
    std::fill(std::begin(readings->differences), std::end(readings->differences), 1U);
    readings->changes = kTimerChanges;
    readings->readings = kTimerChanges;
    readings->cycles = 2 * kTimerChanges;
  });
}

cudaError_t launch_answer(const AnswerLaunch& answer, cudaStream_t stream) {
  return launch(stream, [=] {
    const std::uint64_t start = timer(stream);
    for (unsigned int i = 1; i <= answer.requests; ++i) {
      while (load(&answer.mailbox->request) < i) {
        if (timer(stream) - start >= answer.limit_ns)
          return;
        std::this_thread::yield();
      }
      store(&answer.mailbox->time, static_cast<unsigned long long>(timer(stream)));
      store(&answer.mailbox->reply, i);
    }
  });
}

cudaError_t load_spin_kernels() {
  return cudaSuccess;
}

cudaError_t launch_timed_action(const TimedAction& action, cudaStream_t stream) {
  return launch(stream, [=] {
    const unsigned long long start = timer(stream);
    store(&action.stamp->start, start);
    for (const TimedInput& input : action.inputs)
      if (input.place != nullptr && load(input.place) != input.expected)
        *action.wrong = {input.expected, load(input.place)};
    const unsigned long long end = spin_until(start + action.nanoseconds, action.stop, stream);
    if (end == 0)
      return;
    for (const TimedOutput& output : action.outputs)
      if (output.place != nullptr)
        store(output.place, output.token);
    store(&action.stamp->end, end);
  });
}

cudaError_t launch_timed_message(const TimedMessage& message, cudaStream_t stream) {
  return launch(stream, [=] {
    const unsigned long long start = timer(stream);
    store(&message.stamp->start, start);
    const TimedToken token = load(message.from);
    const unsigned long long end = spin_until(start + message.nanoseconds, message.stop, stream);
    if (end == 0)
      return;
    store(message.to, token);
    store(&message.stamp->end, end);
  });
}

cudaError_t launch_timed_arrival(const TimedArrival& arrival, cudaStream_t stream) {
  return launch(stream, [=] {
    const auto ahead =
        static_cast<std::uint64_t>(load(arrival.receiver_ahead) - load(arrival.sender_ahead));
    spin_until(load(&arrival.sent->end) + arrival.nanoseconds + ahead, arrival.stop, stream);
  });
}

cudaError_t launch_gate(const GateLaunch& gate, cudaStream_t stream) {
  return launch(stream, [=] {
    const std::uint64_t start = timer(stream);
    while (load(gate.open) == 0 && !cuda_double::is_broken()) {
      if (timer(stream) - start >= gate.limit_ns)
        return store(gate.expired, load(gate.expired) + 1);
      nap();
    }
  });
}

cudaError_t launch_hang(Stamp* stamp, const unsigned int* stop, cudaStream_t stream) {
  return launch(stream, [=] {
    store(&stamp->start, static_cast<unsigned long long>(timer(stream)));
    while (load(stop) == 0 && !cuda_double::is_broken())
      nap();
  });
}

cudaError_t launch_fail(Stamp* stamp, cudaStream_t stream) {
  return launch(stream, [=] {
    store(&stamp->start, static_cast<unsigned long long>(timer(stream)));
    cuda_double::break_context();
  });
}

}  // namespace bubblescope::gpu

// The test double's tensor kernels: what those of tensor_kernels.cu do, on threads.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "backend_cuda/cuda/tensor_kernels.h"
#include "tests/cuda_double/cuda_double.h"

namespace bubblescope::gpu {
namespace {

using cuda_double::launch;
using cuda_double::timer;

unsigned long long load(const unsigned long long* shared) {
  return std::atomic_ref(const_cast<unsigned long long&>(*shared)).load(std::memory_order_acquire);
}

void note(unsigned long long* moment, cudaStream_t stream) {
  std::atomic_ref(*moment).store(timer(stream), std::memory_order_release);
}

void wait_until(std::uint64_t moment, cudaStream_t stream) {
  while (timer(stream) < moment && !cuda_double::is_broken())
    std::this_thread::sleep_for(std::chrono::microseconds(20));
}

float difference(const LossLaunch& loss, std::size_t i) {
  return to_float(loss.y[i]) - loss.scale * uniform(loss.key, i);
}

}  // namespace

cudaError_t load_tensor_kernels() {
  return cudaSuccess;
}

cudaError_t launch_random(const RandomLaunch& random, cudaStream_t stream) {
  return launch(stream, [=] {
    for (std::size_t i = 0; i < random.count; ++i)
      random.to[i] = to_bf16(random.scale * uniform(random.key, i));
  });
}

cudaError_t launch_tanh(Bf16* h, std::size_t count, cudaStream_t stream) {
  return launch(stream, [=] {
    for (std::size_t i = 0; i < count; ++i)
      h[i] = to_bf16(std::tanh(to_float(h[i])));
  });
}

cudaError_t launch_tanh_backward(Bf16* da, const Bf16* a, std::size_t count, cudaStream_t stream) {
  return launch(stream, [=] {
    for (std::size_t i = 0; i < count; ++i)
      da[i] = to_bf16(to_float(da[i]) * (1.0F - to_float(a[i]) * to_float(a[i])));
  });
}

cudaError_t launch_loss(const LossLaunch& loss, float* parts, cudaStream_t stream) {
  return launch(stream, [=] {
    std::fill(parts, parts + kLossParts, 0.0F);
    for (std::size_t i = 0; i < loss.count; ++i) {
      const float d = difference(loss, i);
      parts[i % kLossParts] += 0.5F * d * d / static_cast<float>(loss.count);
    }
  });
}

cudaError_t launch_loss_gradient(const LossLaunch& loss, Bf16* dy, cudaStream_t stream) {
  return launch(stream, [=] {
    for (std::size_t i = 0; i < loss.count; ++i)
      dy[i] = to_bf16(difference(loss, i) / static_cast<float>(loss.count));
  });
}

cudaError_t launch_message(const MessageLaunch& message, cudaStream_t stream) {
  return launch(stream, [=] {
    note(&message.stamp->start, stream);
    std::copy_n(static_cast<const unsigned char*>(message.from), message.bytes,
                static_cast<unsigned char*>(message.to));
    wait_until(load(&message.stamp->start) + message.nanoseconds, stream);
    note(&message.stamp->end, stream);
  });
}

cudaError_t launch_stamp_start(Stamp* stamp, cudaStream_t stream) {
  return launch(stream, [=] { note(&stamp->start, stream); });
}

cudaError_t launch_stamp_end(Stamp* stamp, unsigned long long nanoseconds, cudaStream_t stream) {
  return launch(stream, [=] {
    wait_until(load(&stamp->start) + nanoseconds, stream);
    note(&stamp->end, stream);
  });
}

}  // namespace bubblescope::gpu

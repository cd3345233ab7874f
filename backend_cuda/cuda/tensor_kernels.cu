#include "backend_cuda/cuda/global_timer.cuh"
#include "backend_cuda/cuda/load_kernels.cuh"
#include "backend_cuda/cuda/tensor_kernels.h"

namespace bubblescope::gpu {
namespace {

constexpr unsigned int kThreads = 256;
constexpr unsigned int kMostBlocks = 1024;
constexpr unsigned int kMessageThreads = 512;

struct alignas(kCopyUnit) Vector {
  Bf16 values[kVector];
};

__device__ void wait_until(unsigned long long moment) {
  while (global_timer() < moment)
    __nanosleep(100);
}

// Before the host sees it, it has to see what was written before.
__device__ void note(unsigned long long* moment, unsigned long long time) {
  __threadfence_system();
  *static_cast<volatile unsigned long long*>(moment) = time;
}

__device__ std::size_t first_index() {
  return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ std::size_t all_threads() {
  return static_cast<std::size_t>(gridDim.x) * blockDim.x;
}

__global__ void random_kernel(RandomLaunch launch) {
  for (std::size_t i = first_index(); i < launch.count; i += all_threads())
    launch.to[i] = to_bf16(launch.scale * uniform(launch.key, i));
}

__global__ void __launch_bounds__(kThreads) tanh_kernel(Vector* h, std::size_t vectors) {
  for (std::size_t i = first_index(); i < vectors; i += all_threads()) {
    Vector v = h[i];
#pragma unroll
    for (Bf16& value : v.values)
      value = to_bf16(tanhf(to_float(value)));
    h[i] = v;
  }
}

__global__ void __launch_bounds__(kThreads)
    tanh_backward_kernel(Vector* da, const Vector* a, std::size_t vectors) {
  for (std::size_t i = first_index(); i < vectors; i += all_threads()) {
    Vector gradient = da[i];
    const Vector output = a[i];
#pragma unroll
    for (std::size_t k = 0; k < kVector; ++k) {
      const float t = to_float(output.values[k]);
      gradient.values[k] = to_bf16(to_float(gradient.values[k]) * (1.0f - t * t));
    }
    da[i] = gradient;
  }
}

__device__ float difference(const LossLaunch& launch, std::size_t i) {
  return to_float(launch.y[i]) - launch.scale * uniform(launch.key, i);
}

// The order of all sums is fixed, so that the loss is the same to the last bit in every run.
__global__ void __launch_bounds__(kThreads) loss_kernel(LossLaunch launch, float* parts) {
  __shared__ float sums[kThreads];
  float sum = 0;
  for (std::size_t i = first_index(); i < launch.count; i += all_threads()) {
    const float d = difference(launch, i);
    sum += d * d;
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half)
      sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0)
    parts[blockIdx.x] = 0.5f * sums[0] / static_cast<float>(launch.count);
}

__global__ void __launch_bounds__(kThreads) loss_gradient_kernel(LossLaunch launch, Bf16* dy) {
  const float factor = 1.0f / static_cast<float>(launch.count);
  for (std::size_t i = first_index(); i < launch.count; i += all_threads())
    dy[i] = to_bf16(factor * difference(launch, i));
}

// The block that is last to have copied its share waits for the message's time.
__global__ void __launch_bounds__(kMessageThreads) message_kernel(MessageLaunch launch) {
  constexpr std::size_t kAtOnce = 4;
  const unsigned long long start = global_timer();
  if (blockIdx.x == 0 && threadIdx.x == 0)
    note(&launch.stamp->start, start);
  const uint4* from = static_cast<const uint4*>(launch.from);
  uint4* to = static_cast<uint4*>(launch.to);
  const std::size_t units = launch.bytes / sizeof(uint4);
  const std::size_t step = all_threads();
  std::size_t i = first_index();
  for (; i + (kAtOnce - 1) * step < units; i += kAtOnce * step) {
    uint4 values[kAtOnce];
#pragma unroll
    for (std::size_t k = 0; k < kAtOnce; ++k)
      values[k] = from[i + k * step];
#pragma unroll
    for (std::size_t k = 0; k < kAtOnce; ++k)
      to[i + k * step] = values[k];
  }
  for (; i < units; i += step)
    to[i] = from[i];
  __threadfence();
  __syncthreads();
  if (threadIdx.x != 0 || atomicAdd(launch.arrived, 1) + 1 != gridDim.x)
    return;
  *launch.arrived = 0;
  wait_until(start + launch.nanoseconds);
  note(&launch.stamp->end, global_timer());
}

__global__ void stamp_start_kernel(Stamp* stamp) {
  note(&stamp->start, global_timer());
}

__global__ void stamp_end_kernel(Stamp* stamp, unsigned long long nanoseconds) {
  if (nanoseconds > 0)
    wait_until(static_cast<volatile Stamp*>(stamp)->start + nanoseconds);
  note(&stamp->end, global_timer());
}

unsigned int blocks_for(std::size_t threads) {
  const std::size_t blocks = (threads + kThreads - 1) / kThreads;
  return blocks < kMostBlocks ? static_cast<unsigned int>(blocks) : kMostBlocks;
}

}  // namespace

cudaError_t load_tensor_kernels() {
  return load_all(random_kernel, tanh_kernel, loss_kernel, tanh_backward_kernel, message_kernel,
                  loss_gradient_kernel, stamp_start_kernel, stamp_end_kernel);
}

cudaError_t launch_random(const RandomLaunch& launch, cudaStream_t stream) {
  random_kernel<<<blocks_for(launch.count), kThreads, 0, stream>>>(launch);
  return cudaGetLastError();
}

cudaError_t launch_tanh(Bf16* h, std::size_t count, cudaStream_t stream) {
  const std::size_t vectors = count / kVector;
  tanh_kernel<<<blocks_for(vectors), kThreads, 0, stream>>>(reinterpret_cast<Vector*>(h), vectors);
  return cudaGetLastError();
}

cudaError_t launch_tanh_backward(Bf16* da, const Bf16* a, std::size_t count, cudaStream_t stream) {
  const std::size_t vectors = count / kVector;
  tanh_backward_kernel<<<blocks_for(vectors), kThreads, 0, stream>>>(
      reinterpret_cast<Vector*>(da), reinterpret_cast<const Vector*>(a), vectors);
  return cudaGetLastError();
}

cudaError_t launch_loss(const LossLaunch& launch, float* parts, cudaStream_t stream) {
  loss_kernel<<<kLossParts, kThreads, 0, stream>>>(launch, parts);
  return cudaGetLastError();
}

cudaError_t launch_loss_gradient(const LossLaunch& launch, Bf16* dy, cudaStream_t stream) {
  loss_gradient_kernel<<<blocks_for(launch.count), kThreads, 0, stream>>>(launch, dy);
  return cudaGetLastError();
}

cudaError_t launch_message(const MessageLaunch& launch, cudaStream_t stream) {
  message_kernel<<<launch.blocks, kMessageThreads, 0, stream>>>(launch);
  return cudaGetLastError();
}

cudaError_t launch_stamp_start(Stamp* stamp, cudaStream_t stream) {
  stamp_start_kernel<<<1, 1, 0, stream>>>(stamp);
  return cudaGetLastError();
}

cudaError_t launch_stamp_end(Stamp* stamp, unsigned long long nanoseconds, cudaStream_t stream) {
  stamp_end_kernel<<<1, 1, 0, stream>>>(stamp, nanoseconds);
  return cudaGetLastError();
}

}  // namespace bubblescope::gpu

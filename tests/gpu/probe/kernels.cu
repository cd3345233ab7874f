#include "backend_cuda/cuda/global_timer.cuh"
#include "backend_cuda/cuda/load_kernels.cuh"
#include "tests/gpu/probe/kernels.h"

namespace bubblescope::gpu {
namespace {

constexpr unsigned int kFmaThreads = 512;
constexpr unsigned int kCopyThreads = 256;
constexpr unsigned int kCopyVectors = kCopyBlockBytes / (kCopyThreads * sizeof(uint4));

__device__ unsigned int sm_id() {
  unsigned int id;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(id));
  return id;
}

struct Start {
  unsigned long long time;
  long long cycle;
};

__device__ Start start_now() {
  Start start;
  start.time = global_timer();
  start.cycle = clock64();
  return start;
}

__device__ BlockStamp stamp(const Start& start, unsigned long long end) {
  return {start.time, end, static_cast<unsigned long long>(clock64() - start.cycle), sm_id(), 0};
}

// It is over, too, after as many cycles as no SM runs in that time, in case the timer stands still.
__device__ bool is_over(const Start& start, unsigned long long nanoseconds,
                        unsigned long long now) {
  return now - start.time >= nanoseconds ||
         clock64() - start.cycle > static_cast<long long>(4 * nanoseconds + 10'000'000);
}

__global__ void spin_kernel(BlockStamp* stamps, unsigned long long nanoseconds) {
  const Start start = start_now();
  unsigned long long now;
  do {
    now = global_timer();
  } while (!is_over(start, nanoseconds, now));
  stamps[blockIdx.x] = stamp(start, now);
}

// Sleeps between looks at the flag, so that many blocks do not fill the bus with reads.
__global__ void hold_kernel(HoldLaunch launch) {
  const volatile unsigned int* stop = launch.stop;
  volatile unsigned int* seats = launch.seats;
  const Start start = start_now();
  seats[blockIdx.x] = sm_id() + 1;
  __threadfence_system();
  while (*stop == 0 && !is_over(start, launch.limit_ns, global_timer()))
    __nanosleep(2000);
}

__global__ void __launch_bounds__(kFmaThreads)
    fma_kernel(BlockStamp* stamps, unsigned int iterations) {
  const Start start = start_now();
  // The values depend on the reading, so that no arithmetic can be moved before it.
  float a = 1.0f + static_cast<float>(start.time & 7u);
  float b = a + 1.0f;
  float c = a + 2.0f;
  float d = a + 3.0f;
#pragma unroll 16
  for (unsigned int i = 0; i < iterations; ++i) {
    a = fmaf(a, 0.999f, 0.001f);
    b = fmaf(b, 0.999f, 0.001f);
    c = fmaf(c, 0.999f, 0.001f);
    d = fmaf(d, 0.999f, 0.001f);
  }
  // Never true, but the compiler cannot know, and so must compute the values before the barrier.
  if (a + b + c + d < -1.0f)
    stamps[blockIdx.x].unused = 1;
  __syncthreads();
  if (threadIdx.x == 0)
    stamps[blockIdx.x] = stamp(start, global_timer());
}

__global__ void __launch_bounds__(kCopyThreads)
    copy_kernel(const uint4* __restrict__ from, uint4* __restrict__ to, BlockStamp* stamps) {
  const Start start = start_now();
  const std::size_t first =
      static_cast<std::size_t>(blockIdx.x) * (kCopyThreads * kCopyVectors) + threadIdx.x;
  uint4 values[kCopyVectors];
#pragma unroll
  for (unsigned int i = 0; i < kCopyVectors; ++i)
    values[i] = from[first + i * kCopyThreads];
#pragma unroll
  for (unsigned int i = 0; i < kCopyVectors; ++i)
    to[first + i * kCopyThreads] = values[i];
  __syncthreads();
  if (threadIdx.x == 0)
    stamps[blockIdx.x] = stamp(start, global_timer());
}

}  // namespace

cudaError_t load_kernels(std::size_t max_shared_bytes) {
  cudaError_t result = load_all(spin_kernel, hold_kernel, fma_kernel, copy_kernel);
  const auto allow = [&](auto* kernel) {
    if (result == cudaSuccess)
      result = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(max_shared_bytes));
  };
  allow(hold_kernel);
  allow(fma_kernel);
  return result;
}

cudaError_t launch_spin(BlockStamp* stamps, unsigned long long nanoseconds, unsigned int blocks,
                        cudaStream_t stream) {
  spin_kernel<<<blocks, 1, 0, stream>>>(stamps, nanoseconds);
  return cudaGetLastError();
}

cudaError_t launch_hold(const HoldLaunch& launch, cudaStream_t stream) {
  hold_kernel<<<launch.blocks, 1, launch.shared_bytes, stream>>>(launch);
  return cudaGetLastError();
}

cudaError_t launch_fma(BlockStamp* stamps, unsigned int iterations, unsigned int blocks,
                       std::size_t shared_bytes, cudaStream_t stream) {
  fma_kernel<<<blocks, kFmaThreads, shared_bytes, stream>>>(stamps, iterations);
  return cudaGetLastError();
}

cudaError_t launch_copy(const void* from, void* to, BlockStamp* stamps, unsigned int blocks,
                        cudaStream_t stream) {
  copy_kernel<<<blocks, kCopyThreads, 0, stream>>>(static_cast<const uint4*>(from),
                                                   static_cast<uint4*>(to), stamps);
  return cudaGetLastError();
}

cudaError_t count_fma_blocks_per_sm(std::size_t shared_bytes, int* blocks) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, fma_kernel, kFmaThreads,
                                                       shared_bytes);
}

cudaError_t count_copy_blocks_per_sm(int* blocks) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, copy_kernel, kCopyThreads, 0);
}

}  // namespace bubblescope::gpu

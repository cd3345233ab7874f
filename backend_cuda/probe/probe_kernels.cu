#include "backend_cuda/cuda/global_timer.cuh"
#include "backend_cuda/cuda/load_kernels.cuh"
#include "backend_cuda/probe/probe_kernels.h"

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

// A time limit by %globaltimer. It also ends after as many cycles as no SM runs in that time, in
// case the timer stands still.
class Countdown {
 public:
  // Not in initializers, of which nvcc shows the host compiler device functions it does not know.
  __device__ explicit Countdown(unsigned long long nanoseconds) {
    nanoseconds_ = nanoseconds;
    cycle_limit_ = static_cast<long long>(4 * nanoseconds + 10'000'000);
    start_cycle_ = clock64();
    start_ = global_timer();
  }

  __device__ bool is_over(unsigned long long now) const {
    return now - start_ >= nanoseconds_ || clock64() - start_cycle_ > cycle_limit_;
  }

  __device__ BlockStamp stamp(unsigned long long end) const {
    return {start_, end, static_cast<unsigned long long>(clock64() - start_cycle_), sm_id(), 0};
  }

 private:
  unsigned long long nanoseconds_;
  long long cycle_limit_;
  unsigned long long start_;
  long long start_cycle_;
};

__global__ void spin_kernel(BlockStamp* stamps, unsigned long long nanoseconds) {
  const Countdown countdown(nanoseconds);
  unsigned long long now;
  do {
    now = global_timer();
  } while (!countdown.is_over(now));
  stamps[blockIdx.x] = countdown.stamp(now);
}

// Sleeps between looks at the flag, so that many blocks do not fill the bus with reads.
__global__ void hold_kernel(HoldLaunch launch) {
  const volatile unsigned int* stop = launch.stop;
  volatile unsigned int* seats = launch.seats;
  const Countdown countdown(launch.limit_ns);
  seats[blockIdx.x] = sm_id() + 1;
  __threadfence_system();
  while (*stop == 0 && !countdown.is_over(global_timer()))
    __nanosleep(2000);
}

__global__ void __launch_bounds__(kFmaThreads)
    fma_kernel(BlockStamp* stamps, float* sink, unsigned int iterations) {
  const unsigned long long start = global_timer();
  const long long start_cycle = clock64();
  // The values depend on the reading, so that no arithmetic can be moved before it.
  float a = 1.0f + static_cast<float>(start & 7u);
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
    *sink = a;
  __syncthreads();
  if (threadIdx.x == 0) {
    const unsigned long long cycles = static_cast<unsigned long long>(clock64() - start_cycle);
    stamps[blockIdx.x] = {start, global_timer(), cycles, sm_id(), 0};
  }
}

__global__ void __launch_bounds__(kCopyThreads)
    copy_kernel(const uint4* __restrict__ from, uint4* __restrict__ to, BlockStamp* stamps) {
  const unsigned long long start = global_timer();
  const long long start_cycle = clock64();
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
  if (threadIdx.x == 0) {
    const unsigned long long cycles = static_cast<unsigned long long>(clock64() - start_cycle);
    stamps[blockIdx.x] = {start, global_timer(), cycles, sm_id(), 0};
  }
}

template <class Kernel>
cudaError_t allow_shared(Kernel* kernel, std::size_t bytes) {
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(bytes));
}

}  // namespace

cudaError_t load_kernels(std::size_t max_shared_bytes) {
  const cudaError_t results[] = {load_all(spin_kernel, hold_kernel, fma_kernel, copy_kernel),
                                 allow_shared(hold_kernel, max_shared_bytes),
                                 allow_shared(fma_kernel, max_shared_bytes)};
  for (const cudaError_t result : results)
    if (result != cudaSuccess)
      return result;
  return cudaSuccess;
}

cudaError_t launch_spin(const SpinLaunch& launch, cudaStream_t stream) {
  spin_kernel<<<launch.blocks, 1, 0, stream>>>(launch.stamps, launch.nanoseconds);
  return cudaGetLastError();
}

cudaError_t launch_hold(const HoldLaunch& launch, cudaStream_t stream) {
  hold_kernel<<<launch.blocks, 1, launch.shared_bytes, stream>>>(launch);
  return cudaGetLastError();
}

cudaError_t launch_fma(const FmaLaunch& launch, cudaStream_t stream) {
  fma_kernel<<<launch.blocks, kFmaThreads, launch.shared_bytes, stream>>>(
      launch.stamps, launch.sink, launch.iterations);
  return cudaGetLastError();
}

cudaError_t launch_copy(const CopyLaunch& launch, cudaStream_t stream) {
  copy_kernel<<<launch.blocks, kCopyThreads, 0, stream>>>(
      static_cast<const uint4*>(launch.from), static_cast<uint4*>(launch.to), launch.stamps);
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

// The probe's kernels, behind launchers that host code can call. Every kernel ends by itself: none
// waits for another kernel or block, and one that waits for the host gives up after a time limit.
#pragma once

#include <cstddef>
#include <cuda_runtime_api.h>

namespace bubblescope::gpu {

/// A block notes its first and last reading of %globaltimer in ns, the SM's clock cycles between
/// them, and the SM it ran on. A block that has not run leaves zeros.
struct BlockStamp {
  unsigned long long start;
  unsigned long long end;
  unsigned long long cycles;
  unsigned int sm;
  unsigned int unused;
};

struct HoldLaunch {
  const unsigned int* stop;  ///< Shared with the host, which ends the kernel by setting it.
  unsigned int* seats;       ///< Shared with the host: block b writes its SM + 1 into seats[b].
  unsigned long long limit_ns;
  unsigned int blocks;
  std::size_t shared_bytes;  ///< A block takes all that an SM has, so that nothing else fits there.
};

inline constexpr std::size_t kCopyBlockBytes = 32768;  ///< One block of the copy kernel moves this.

/// Loads every kernel now, since a kernel that is first loaded beside a running one may wait for
/// it, and lets blocks have up to `max_shared_bytes` of shared memory.
cudaError_t load_kernels(std::size_t max_shared_bytes);

// Each block leaves a stamp.
cudaError_t launch_spin(BlockStamp* stamps, unsigned long long nanoseconds, unsigned int blocks,
                        cudaStream_t stream);
cudaError_t launch_fma(BlockStamp* stamps, unsigned int iterations, unsigned int blocks,
                       std::size_t shared_bytes, cudaStream_t stream);
/// Copies blocks × kCopyBlockBytes, aligned to 16 bytes.
cudaError_t launch_copy(const void* from, void* to, BlockStamp* stamps, unsigned int blocks,
                        cudaStream_t stream);
cudaError_t launch_hold(const HoldLaunch& launch, cudaStream_t stream);

/// How many blocks of a kernel an SM runs at once.
cudaError_t count_fma_blocks_per_sm(std::size_t shared_bytes, int* blocks);
cudaError_t count_copy_blocks_per_sm(int* blocks);

}  // namespace bubblescope::gpu

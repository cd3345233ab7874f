// The clock of a GPU, for kernels.
#pragma once

namespace bubblescope::gpu {

// The clobber keeps memory accesses on their side of the reading.
static __device__ inline unsigned long long global_timer() {
  unsigned long long now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)::"memory");
  return now;
}

}  // namespace bubblescope::gpu

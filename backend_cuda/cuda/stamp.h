// How kernels tell the host when they ran.
#pragma once

namespace bubblescope::gpu {

/// When something ran, by %globaltimer in ns; 0 for what has not begun or ended. Pinned memory, so
/// that the host sees how far a kernel that hangs has come.
struct Stamp {
  unsigned long long start;
  unsigned long long end;
};

}  // namespace bubblescope::gpu

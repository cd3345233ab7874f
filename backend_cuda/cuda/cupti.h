// CUPTI's records of the kernels that run. It is looked up at run time: the program starts without.
#pragma once

#include <memory>
#include <vector>

#include "backend_cuda/cuda/cupti_check.h"

namespace bubblescope::gpu {

/// Records while it lives; there can be one at a time. It slows launches.
class Cupti {
 public:
  /// Takes the library that BUBBLESCOPE_CUPTI names, else the newest of those that the loader
  /// finds. Throws DeviceError if there is none, or it does not record.
  Cupti();
  ~Cupti();
  Cupti(const Cupti&) = delete;
  Cupti& operator=(const Cupti&) = delete;

  /// Those that ended since the last call. All devices have to be idle.
  std::vector<KernelTimes> take();

 private:
  struct Functions;
  std::unique_ptr<Functions> functions_;
};

}  // namespace bubblescope::gpu

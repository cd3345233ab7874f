// It stands for cupti.cpp in the tests' doubles, and where the toolkit has no CUPTI or an old one.
#include "backend_cuda/cuda/cupti.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

struct Cupti::Functions {};

Cupti::Cupti() {
  throw DeviceError("a cross-check needs CUPTI of CUDA 13, and this program was built without");
}
Cupti::~Cupti() = default;

std::vector<KernelTimes> Cupti::take() {
  return {};
}

}  // namespace bubblescope::gpu

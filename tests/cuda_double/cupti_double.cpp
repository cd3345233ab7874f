// There is no CUPTI in the test double: a cross-check says so.
#include "backend_cuda/cuda/cupti.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

struct Cupti::Functions {};

Cupti::Cupti() {
  throw DeviceError("the test double has no CUPTI");
}
Cupti::~Cupti() = default;

std::vector<KernelTimes> Cupti::take() {
  return {};
}

}  // namespace bubblescope::gpu

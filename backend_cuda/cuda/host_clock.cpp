#include "backend_cuda/cuda/host_clock.h"

#include <string>

#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

HostClock::HostClock(int gpu) : gpu_(gpu), line_({}) {
  BUBBLESCOPE_CHECK(cudaSetDevice(gpu));
  stream_ = make_stream();
  read_before();
}

void HostClock::read_before() {
  readings_ = {read()};
  line_ = ClockLine(readings_);
}

void HostClock::read_after() {
  readings_.push_back(read());
  line_ = ClockLine(readings_);
}

ClockReading HostClock::read() {
  BUBBLESCOPE_CHECK(cudaSetDevice(gpu_));
  const auto exchange = fastest_exchange(mailbox_, stream_.get());
  if (!exchange)
    throw DeviceError("GPU " + std::to_string(gpu_) +
                      " does not answer while a kernel runs, so its clock cannot be read");
  return {.at = exchange->host,
          .ahead = Time(exchange->device) - exchange->host.time_since_epoch(),
          .uncertainty = exchange->bracket / 2};
}

}  // namespace bubblescope::gpu

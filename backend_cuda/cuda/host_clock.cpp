#include "backend_cuda/cuda/host_clock.h"

#include <string>

#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

HostClock::HostClock(int gpu, unsigned int tick_ns) : gpu_(gpu), tick_ns_(tick_ns), line_({}) {
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
  // A host that is busy with other things answers late, and sometimes too late.
  constexpr int kTries = 8;
  constexpr std::chrono::microseconds kGoodEnough{20};
  BUBBLESCOPE_CHECK(cudaSetDevice(gpu_));
  std::optional<Exchange> exchange;
  for (int i = 0; i < kTries && !(exchange && exchange->bracket <= kGoodEnough); ++i) {
    const auto another = fastest_exchange(mailbox_, stream_.get());
    if (another && (!exchange || another->bracket < exchange->bracket))
      exchange = another;
  }
  if (!exchange)
    throw DeviceError("GPU " + std::to_string(gpu_) +
                      " does not answer while a kernel runs, so its clock cannot be read");
  return {.at = exchange->host,
          .ahead = Time(exchange->device) - exchange->host.time_since_epoch(),
          .uncertainty = exchange->bracket / 2 + Time(tick_ns_)};
}

}  // namespace bubblescope::gpu

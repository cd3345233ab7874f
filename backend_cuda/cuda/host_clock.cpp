#include "backend_cuda/cuda/host_clock.h"

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
  BUBBLESCOPE_CHECK(cudaSetDevice(gpu_));
  const Exchange exchange = read_clock(mailbox_, stream_.get(), gpu_);
  return {.at = exchange.host,
          .ahead = Time(exchange.device) - exchange.host.time_since_epoch(),
          .uncertainty = exchange.bracket / 2 + Time(tick_ns_)};
}

}  // namespace bubblescope::gpu

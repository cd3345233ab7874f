#include "backend_cuda/probe/sm_holder.h"

#include <atomic>
#include <string>

#include "backend_cuda/probe/probe_kernels.h"

namespace bubblescope::gpu {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

SmHolder::SmHolder(const Device& device, const Wish& wish)
    : flags_(std::size_t{1} + wish.sms), stream_(wish.stream) {
  constexpr milliseconds kPatience{50};
  const auto limit = static_cast<unsigned long long>(nanoseconds(wish.limit).count());
  BUBBLESCOPE_CHECK(launch_hold({.stop = flags_.on_device(),
                                 .seats = flags_.on_device() + 1,
                                 .limit_ns = limit,
                                 .blocks = wish.sms,
                                 .shared_bytes = device.max_shared_bytes},
                                stream_));
  const auto give_up = steady_clock::now() + kPatience;
  for (unsigned int i = 1; i <= wish.sms; ++i) {
    const std::atomic_ref<unsigned int> seat(flags_[i]);
    unsigned int sm_plus_one = 0;
    do {
      sm_plus_one = seat.load(std::memory_order_acquire);
    } while (sm_plus_one == 0 && steady_clock::now() < give_up);
    if (sm_plus_one != 0)
      sms_.insert(sm_plus_one - 1);
  }
  if (sms_.size() == wish.sms)
    return;
  release();
  throw NotSupported("only " + std::to_string(sms_.size()) + " of " + std::to_string(wish.sms) +
                     " SMs could be held");
}

bool SmHolder::is_running() const {
  return !BUBBLESCOPE_IS_DONE(cudaStreamQuery(stream_));
}

void SmHolder::release() noexcept {
  std::atomic_ref<unsigned int>(flags_[0]).store(1, std::memory_order_release);
  cudaStreamSynchronize(stream_);
}

}  // namespace bubblescope::gpu

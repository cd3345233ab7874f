#include "backend_cuda/cuda/lane.h"

namespace bubblescope::gpu {

void Lane::reserve(std::size_t marks) {
  if (marks <= events_.size())
    return;
  select();
  make_events(marks - events_.size());
}

void Lane::make_events(std::size_t count) {
  for (; count > 0; --count)
    events_.push_back(partition_ != nullptr ? partition_->make_own_event() : make_event());
}

void Lane::restart() {
  recorded_ = 0;
  waited_.clear();
  depth_ = 0;
}

Mark Lane::record() {
  select();
  if (recorded_ == events_.size())
    make_events(1);
  BUBBLESCOPE_CHECK(cudaEventRecord(events_[recorded_].get(), stream_));
  count();
  return {id_, recorded_++};
}

void Lane::wait(const Lane& other, const Mark& mark) {
  if (mark.lane == id_)
    return;
  if (waited_.size() <= mark.lane)
    waited_.resize(mark.lane + 1);
  std::uint32_t& waited = waited_[mark.lane];
  if (mark.event < waited)
    return;
  waited = mark.event + 1;
  BUBBLESCOPE_CHECK(cudaStreamWaitEvent(stream_, other.event(mark)));
  count();
}

}  // namespace bubblescope::gpu

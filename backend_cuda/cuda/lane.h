// A stream with the events that order it among the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <optional>
#include <vector>

#include "backend_cuda/cuda/green_context.h"
#include "backend_cuda/cuda/handles.h"

namespace bubblescope::gpu {

/// A moment in a lane: all that was enqueued there before it has ended.
struct Mark {
  std::uint32_t lane;
  std::uint32_t event;
};

class Lane {
 public:
  /// A stream of the current GPU, which is `gpu`.
  Lane(std::uint32_t id, int gpu) : id_(id), gpu_(gpu), own_(make_stream()), stream_(own_.get()) {}
  /// A stream of the caller's making.
  Lane(std::uint32_t id, int gpu, Stream stream)
      : id_(id), gpu_(gpu), own_(std::move(stream)), stream_(own_.get()) {}
  /// The stream of a partition, which has to outlive the lane.
  Lane(std::uint32_t id, int gpu, const Partition& partition)
      : id_(id), gpu_(gpu), partition_(&partition), stream_(partition.stream()) {}

  std::uint32_t id() const { return id_; }
  cudaStream_t stream() const { return stream_; }
  cudaEvent_t event(const Mark& mark) const { return events_[mark.event].get(); }
  /// How many operations were put into the stream since `restart`.
  std::size_t depth() const { return depth_; }

  /// Makes events for so many marks a step, since nothing should be made while a step is captured.
  void reserve(std::size_t marks);
  void restart();
  void select() const { BUBBLESCOPE_CHECK(cudaSetDevice(gpu_)); }
  Mark record();
  /// What is enqueued next comes after `mark`, a mark of `other`.
  void wait(const Lane& other, const Mark& mark);
  void count(std::size_t operations = 1) { depth_ += operations; }

 private:
  void make_events(std::size_t count);

  std::uint32_t id_;
  int gpu_;
  const Partition* partition_ = nullptr;
  Stream own_;
  cudaStream_t stream_;
  std::vector<Event> events_;
  std::uint32_t recorded_ = 0;
  std::vector<std::uint32_t> waited_;  // [lane] for so many of its marks
  std::size_t depth_ = 0;
};

}  // namespace bubblescope::gpu

// Owners of what CUDA hands out: streams, events, graphs and memory.
#pragma once

#include <cstddef>
#include <cuda_runtime_api.h>
#include <memory>
#include <type_traits>
#include <vector>

#include "backend_cuda/cuda/check.h"

namespace bubblescope::gpu {

/// Gives handles back. Errors are dropped: a destructor must not throw, and a context that failed
/// has already been reported by the call that failed.
struct Destroyer {
  void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
  void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
  void operator()(cudaGraph_t graph) const noexcept { cudaGraphDestroy(graph); }
  void operator()(cudaGraphExec_t graph) const noexcept { cudaGraphExecDestroy(graph); }
};

using Stream = std::unique_ptr<CUstream_st, Destroyer>;
using Event = std::unique_ptr<CUevent_st, Destroyer>;
using Graph = std::unique_ptr<CUgraphExec_st, Destroyer>;  ///< Ready to be launched.

/// A stream that does not wait for the default stream, nor is waited for.
inline Stream make_stream() {
  cudaStream_t stream = nullptr;
  BUBBLESCOPE_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

/// The same, whose kernels go before those of other streams as blocks of these end.
inline Stream make_urgent_stream() {
  int least = 0;
  int greatest = 0;
  BUBBLESCOPE_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  cudaStream_t stream = nullptr;
  BUBBLESCOPE_CHECK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest));
  return Stream(stream);
}

/// With `cudaEventDisableTiming` an event only orders.
inline Event make_event(unsigned int flags = cudaEventDisableTiming) {
  cudaEvent_t event = nullptr;
  BUBBLESCOPE_CHECK(cudaEventCreateWithFlags(&event, flags));
  return Event(event);
}

/// The graph of what `enqueue()` puts into `stream` and into streams that it makes wait for it.
template <class Enqueue>
Graph capture(cudaStream_t stream, Enqueue&& enqueue) {
  cudaGraph_t captured = nullptr;
  BUBBLESCOPE_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  try {
    enqueue();
  } catch (...) {
    if (cudaStreamEndCapture(stream, &captured) == cudaSuccess && captured != nullptr)
      cudaGraphDestroy(captured);
    cudaGetLastError();
    throw;
  }
  BUBBLESCOPE_CHECK(cudaStreamEndCapture(stream, &captured));
  const std::unique_ptr<CUgraph_st, Destroyer> graph(captured);
  cudaGraphExec_t ready = nullptr;
  BUBBLESCOPE_CHECK(cudaGraphInstantiate(&ready, graph.get(), 0));
  return Graph(ready);
}

/// `count` values in device memory, zero bytes at first; `what` they are, for error messages.
template <class T>
class DeviceBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit DeviceBuffer(std::size_t count, const char* what = "device memory") : count_(count) {
    void* memory = nullptr;
    const std::size_t bytes = count * sizeof(T);
    check_allocated(cudaMalloc(&memory, bytes), {bytes, what}, BUBBLESCOPE_CALL(cudaMalloc));
    memory_.reset(static_cast<T*>(memory));
    fill(0);
  }

  T* data() const { return memory_.get(); }
  std::size_t size() const { return count_; }

  /// Sets every byte, and returns when that is done and visible to every stream.
  void fill(int byte) {
    BUBBLESCOPE_CHECK(cudaMemset(data(), byte, count_ * sizeof(T)));
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(cudaStreamLegacy));
  }

  /// The values. What writes them has to be done: our streams do not wait for this copy.
  std::vector<T> download() const {
    std::vector<T> values(count_);
    BUBBLESCOPE_CHECK(
        cudaMemcpy(values.data(), data(), count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  struct Free {
    void operator()(T* memory) const noexcept { cudaFree(memory); }
  };
  std::unique_ptr<T, Free> memory_;
  std::size_t count_;
};

/// `count` values, zero at first, in host memory that the kernels of all GPUs see too. While a
/// kernel runs, the host touches them through std::atomic_ref alone.
template <class T>
class SharedBuffer {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  explicit SharedBuffer(std::size_t count, const char* what = "pinned memory") : count_(count) {
    void* memory = nullptr;
    const std::size_t bytes = count * sizeof(T);
    check_allocated(cudaHostAlloc(&memory, bytes, cudaHostAllocMapped | cudaHostAllocPortable),
                    {bytes, what}, BUBBLESCOPE_CALL(cudaHostAlloc));
    memory_.reset(static_cast<T*>(memory));
    std::uninitialized_value_construct_n(memory_.get(), count);
    void* seen_by_kernels = nullptr;
    BUBBLESCOPE_CHECK(cudaHostGetDevicePointer(&seen_by_kernels, memory, 0));
    on_device_ = static_cast<T*>(seen_by_kernels);
  }

  T& operator[](std::size_t i) const { return memory_.get()[i]; }
  T* on_device() const { return on_device_; }
  std::size_t size() const { return count_; }

 private:
  struct Free {
    void operator()(T* memory) const noexcept { cudaFreeHost(memory); }
  };
  std::unique_ptr<T, Free> memory_;
  T* on_device_ = nullptr;
  std::size_t count_;
};

}  // namespace bubblescope::gpu

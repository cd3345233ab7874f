// The device that is probed, the host around it, and what its measurements are made with.
#pragma once

#include <chrono>
#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backend_cuda/cuda/handles.h"
#include "sim/engine/timeline.h"
#include "tests/gpu/probe/kernels.h"
#include "tests/gpu/probe/report.h"

namespace bubblescope::gpu {

struct Device {
  int ordinal = 0;
  std::string name = {};
  unsigned int sm_count = 0;
  std::size_t max_shared_bytes = 0;  ///< A block can have all that an SM gives.
};

/// Opens the first visible device, loads the kernels, and leaves its context current. Throws
/// std::runtime_error, which says in one line what is missing.
Device open_device();

/// Name, compute capability, versions, clocks and what else a figure has to be read with. Runs the
/// device for a tenth of a second, so that its clocks are up.
ordered_json describe(const Device& device);

/// MHz of the SM clock: cycles by %globaltimer, at the end of a tenth of a second of arithmetic.
double measure_sm_clock(const Device& device);

/// With so many shared bytes, an SM has room for one block only.
std::size_t more_than_half_of_shared(const Device& device);

/// From the first block's start to the last block's end by %globaltimer. Throws std::runtime_error
/// if a block left no stamp.
Span span_of(std::span<const BlockStamp> stamps);

constexpr double to_us(Time time) {
  return static_cast<double>(time.count()) / 1e3;
}

/// Events before and after work of a stream of its own.
class EventTimer {
 public:
  cudaStream_t stream() const { return stream_.get(); }

  /// µs between the events around what `enqueue()` puts into the stream, which a kernel holds back
  /// until all is queued.
  template <class Enqueue>
  double time(Enqueue&& enqueue) const {
    constexpr std::chrono::nanoseconds kGate = std::chrono::microseconds(200);
    BUBBLESCOPE_CHECK(launch_spin(gate_stamp_.data(), kGate.count(), 1, stream()));
    BUBBLESCOPE_CHECK(cudaEventRecord(before_.get(), stream()));
    enqueue();
    BUBBLESCOPE_CHECK(cudaEventRecord(after_.get(), stream()));
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream()));
    float ms = 0;
    BUBBLESCOPE_CHECK(cudaEventElapsedTime(&ms, before_.get(), after_.get()));
    return static_cast<double>(ms) * 1e3;
  }

 private:
  Stream stream_ = make_stream();
  Event before_ = make_event(cudaEventDefault);
  Event after_ = make_event(cudaEventDefault);
  DeviceBuffer<BlockStamp> gate_stamp_{1};
};

/// Holds SMs, each with one block that takes all of its shared memory, so that no other block fits
/// beside it. The blocks sleep and spin in turn and use no memory bandwidth to speak of.
class SmHolder {
 public:
  struct Wish {
    /// It serves nothing else meanwhile, outlives the holder, and was made together with the
    /// streams of what is to run beside it: CUDA gives streams its hardware queues in turn, and
    /// what shares a queue with the holder would wait for it.
    cudaStream_t stream;
    unsigned int sms;                 ///< At least one.
    std::chrono::milliseconds limit;  ///< After it the SMs are free again in any case.
  };

  /// Returns when the blocks run. Throws NotSupported if they do not all get an SM of their own.
  SmHolder(const Device& device, const Wish& wish);
  ~SmHolder() { release(); }
  SmHolder(const SmHolder&) = delete;
  SmHolder& operator=(const SmHolder&) = delete;

  /// The numbers (%smid) of the SMs that are held.
  const std::set<unsigned int>& sms() const { return sms_; }

  /// Whether every SM has been held up to now.
  bool is_running() const { return !BUBBLESCOPE_IS_DONE(cudaStreamQuery(stream_)); }

 private:
  void release() noexcept;

  SharedBuffer<unsigned int> flags_;  // [0] ends the blocks; the others are their seats
  cudaStream_t stream_;
  std::set<unsigned int> sms_;
};

// The measurements. Each warms up first, repeats, and shows its spread; one that the device or the
// driver cannot do throws NotSupported.

/// How %globaltimer ticks.
std::vector<Table> measure_timer(const Device& device);
/// %globaltimer beside the host's steady clock.
std::vector<Table> measure_drift(const Device& device);
/// The time between kernels that follow each other: in streams and in graphs.
std::vector<Table> measure_gaps(const Device& device);
/// The resolution of CUDA's events, and their error for known lengths.
std::vector<Table> measure_events(const Device& device);
/// How well a kernel that spins keeps to the time it is asked for.
std::vector<Table> measure_spins(const Device& device);
/// How SMs are split into green contexts, and whether kernels and graphs stay inside.
std::vector<Table> measure_partitions(const Device& device);
/// Kernels beside one that holds some of the SMs.
std::vector<Table> measure_contention(const Device& device);
/// Device memory read and written by a kernel.
std::vector<Table> measure_bandwidth(const Device& device);
/// Copies within the device, by size, and what makes them: copy engines or SMs.
std::vector<Table> measure_copies(const Device& device);

}  // namespace bubblescope::gpu

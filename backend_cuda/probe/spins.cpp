#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/probe/measurements.h"
#include "backend_cuda/probe/probe_kernels.h"
#include "backend_cuda/probe/statistics.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// One kernel that spins, between two events, behind a kernel that holds them back until all three
/// are queued.
class TimedSpin {
 public:
  struct Result {
    std::int64_t kernel_ns;  ///< By %globaltimer, first start to last end.
    std::int64_t event_ns;   ///< By the events.
  };

  explicit TimedSpin(unsigned int blocks)
      : stream_(make_stream()),
        before_(make_event(cudaEventDefault)),
        after_(make_event(cudaEventDefault)),
        stamps_(blocks),
        gate_stamp_(1) {}

  Result run(nanoseconds asked) const {
    record_around([&] {
      BUBBLESCOPE_CHECK(launch_spin({.stamps = stamps_.data(),
                                     .nanoseconds = static_cast<unsigned long long>(asked.count()),
                                     .blocks = static_cast<unsigned int>(stamps_.size())},
                                    stream_.get()));
    });
    return {interval_of(stamps_.download()).length(), elapsed_ns()};
  }

  /// What two events say that follow each other with nothing between.
  std::int64_t run_empty() const {
    record_around([] {});
    return elapsed_ns();
  }

 private:
  template <class Enqueue>
  void record_around(Enqueue&& enqueue) const {
    constexpr nanoseconds kGate = microseconds(200);
    BUBBLESCOPE_CHECK(
        launch_spin({.stamps = gate_stamp_.data(), .nanoseconds = kGate.count()}, stream_.get()));
    BUBBLESCOPE_CHECK(cudaEventRecord(before_.get(), stream_.get()));
    enqueue();
    BUBBLESCOPE_CHECK(cudaEventRecord(after_.get(), stream_.get()));
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream_.get()));
  }

  std::int64_t elapsed_ns() const {
    float ms = 0;
    BUBBLESCOPE_CHECK(cudaEventElapsedTime(&ms, before_.get(), after_.get()));
    return std::llround(static_cast<double>(ms) * 1e6);
  }

  Stream stream_;
  Event before_;
  Event after_;
  DeviceBuffer<BlockStamp> stamps_;
  DeviceBuffer<BlockStamp> gate_stamp_;
};

Table event_resolution(const TimedSpin& spin) {
  constexpr int kSamples = 250;
  constexpr nanoseconds kShortest = microseconds(5);
  constexpr nanoseconds kStep{37};
  std::vector<std::int64_t> elapsed;
  std::vector<double> empty;
  for (int i = 0; i < kSamples; ++i) {
    elapsed.push_back(spin.run(kShortest + i * kStep).event_ns);
    empty.push_back(static_cast<double>(spin.run_empty()));
  }
  const Steps steps = steps_of(elapsed);
  Table table{
      .name = "event_resolution",
      .title = "events: steps of cudaEventElapsedTime, and what two adjacent events say",
      .columns = with_spread({{"distinct"}, {"smallest_step_ns"}, {"divisor_ns"}}, "empty_ns", 0),
      .notes = {"of spins that are 37 ns longer each time"}};
  table.rows.push_back(
      with_spread({static_cast<std::int64_t>(steps.distinct), steps.smallest, steps.common_divisor},
                  spread_of(empty)));
  return table;
}

}  // namespace

std::vector<Table> measure_events(const Device& /*device*/) {
  constexpr int kRepeats = 40;
  constexpr int kWarmUps = 3;
  const TimedSpin spin(1);
  Table table{.name = "event_error",
              .title = "events: elapsed time less the kernel's own, by %globaltimer",
              .columns = with_spread({{"asked_us", 0}}, "error_us", 3)};
  for (const nanoseconds asked : {nanoseconds(microseconds(10)), nanoseconds(microseconds(100)),
                                  nanoseconds(milliseconds(1)), nanoseconds(milliseconds(10))}) {
    std::vector<double> errors;
    for (int repeat = -kWarmUps; repeat < kRepeats; ++repeat) {
      const TimedSpin::Result result = spin.run(asked);
      if (repeat >= 0)
        errors.push_back(to_us(result.event_ns - result.kernel_ns));
    }
    table.rows.push_back(with_spread({to_us(asked.count())}, spread_of(errors)));
  }
  return {event_resolution(spin), table};
}

std::vector<Table> measure_spins(const Device& device) {
  constexpr int kRepeats = 20;
  constexpr int kWarmUps = 2;
  Table table{.name = "spin_error",
              .title = "spin kernel: first block's start to last block's end, less the time asked",
              .columns = with_spread({{"blocks"}, {"asked_us", 0}}, "error_us", 3)};
  for (const unsigned int blocks : {1U, device.sm_count}) {
    const TimedSpin spin(blocks);
    for (const int asked_us : {10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}) {
      const nanoseconds asked = microseconds(asked_us);
      std::vector<double> errors;
      for (int repeat = -kWarmUps; repeat < kRepeats; ++repeat) {
        const std::int64_t measured = spin.run(asked).kernel_ns;
        if (repeat >= 0)
          errors.push_back(to_us(measured - asked.count()));
      }
      table.rows.push_back(with_spread(
          {static_cast<std::int64_t>(blocks), static_cast<double>(asked_us)}, spread_of(errors)));
    }
  }
  return {table};
}

}  // namespace bubblescope::gpu

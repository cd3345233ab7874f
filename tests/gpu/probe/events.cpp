// How well CUDA's events and kernels that spin keep to the time that %globaltimer shows.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "tests/gpu/probe/device.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

/// One kernel that spins, between two events.
class TimedSpin {
 public:
  explicit TimedSpin(unsigned int blocks) : stamps_(blocks) {}

  /// µs by the events; the kernel's own time is `kernel_time` then.
  double run(nanoseconds asked) const {
    return timer_.time([&] {
      BUBBLESCOPE_CHECK(launch_spin(stamps_.data(), static_cast<unsigned long long>(asked.count()),
                                    static_cast<unsigned int>(stamps_.size()), timer_.stream()));
    });
  }
  double kernel_time() const { return to_us(span_of(stamps_.download()).length()); }
  /// µs between two events that follow each other with nothing between.
  double run_empty() const {
    return timer_.time([] {});
  }

 private:
  EventTimer timer_;
  DeviceBuffer<BlockStamp> stamps_;
};

Table event_resolution(const TimedSpin& spin) {
  constexpr int kSamples = 250;
  constexpr nanoseconds kShortest = microseconds(5);
  constexpr nanoseconds kStep{37};
  std::vector<std::int64_t> elapsed;
  std::vector<double> empty;
  for (int i = 0; i < kSamples; ++i) {
    elapsed.push_back(std::llround(1e3 * spin.run(kShortest + i * kStep)));
    empty.push_back(1e3 * spin.run_empty());
  }
  std::sort(elapsed.begin(), elapsed.end());
  elapsed.erase(std::unique(elapsed.begin(), elapsed.end()), elapsed.end());
  std::vector<std::int64_t> steps(elapsed.size());
  std::adjacent_difference(elapsed.begin(), elapsed.end(), steps.begin());
  steps.erase(steps.begin());
  ordered_json row = {
      {"distinct", elapsed.size()},
      {"smallest_step_ns", steps.empty() ? 0 : *std::min_element(steps.begin(), steps.end())},
      {"divisor_ns", std::accumulate(steps.begin(), steps.end(), std::int64_t{0},
                                     [](auto a, auto b) { return std::gcd(a, b); })}};
  add_spread(row, "empty_ns", empty);
  return {.name = "event_resolution",
          .title = "events: steps of cudaEventElapsedTime, and what two adjacent events say",
          .rows = {row},
          .notes = {"of spins that are 37 ns longer each time"}};
}

}  // namespace

std::vector<Table> measure_events(const Device& /*device*/) {
  const TimedSpin spin(1);
  Table table{.name = "event_error",
              .title = "events: elapsed time less the kernel's own, by %globaltimer"};
  for (const int asked_us : {10, 100, 1'000, 10'000}) {
    table.rows.push_back({{"asked_us", asked_us}});
    add_spread(table.rows.back(), "error_us", samples_of(3, 40, [&] {
                 const double by_events = spin.run(microseconds(asked_us));
                 return by_events - spin.kernel_time();
               }));
  }
  return {event_resolution(spin), table};
}

std::vector<Table> measure_spins(const Device& device) {
  Table table{.name = "spin_error",
              .title = "spin kernel: first block's start to last block's end, less the time asked"};
  for (const unsigned int blocks : {1U, device.sm_count}) {
    const TimedSpin spin(blocks);
    for (const int asked_us : {10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}) {
      table.rows.push_back({{"blocks", blocks}, {"asked_us", asked_us}});
      add_spread(table.rows.back(), "error_us", samples_of(2, 20, [&] {
                   spin.run(microseconds(asked_us));
                   return spin.kernel_time() - asked_us;
                 }));
    }
  }
  return {table};
}

}  // namespace bubblescope::gpu

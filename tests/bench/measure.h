// What every measurement needs: a clock, a median, processes of their own, and memory's high tide.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

namespace bubblescope::bench {

class Stopwatch {
 public:
  /// Milliseconds since it was made, or since the last call.
  double lap_ms() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double, std::milli> lap = now - begin_;
    begin_ = now;
    return lap.count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// Of `values`, which are not empty; of an even number, the upper one of the middle two.
double median(std::vector<double> values);

/// The most memory that this process held at a time, and what it holds now.
struct Resident {
  std::int64_t peak_bytes = 0;
  std::int64_t now_bytes = 0;
};
Resident resident();

/// Touches `bytes` of free memory and frees them again: a virtual machine may have given free
/// memory back to its host, and to fetch it anew takes longer than any measurement here.
void make_present(double bytes);

/// Runs `work` in a forked process, which writes `size` bytes of result. Throws where it fails.
void run_in_child(void* result, std::size_t size, const std::function<void(void*)>& work);

/// The result of `work`, which runs in a fresh process: its memory starts out untouched.
template <typename Work>
auto in_child(const Work& work) {
  using Result = std::invoke_result_t<Work>;
  static_assert(std::is_trivially_copyable_v<Result>);
  Result result;
  run_in_child(&result, sizeof(Result),
               [&](void* place) { *static_cast<Result*>(place) = work(); });
  return result;
}

/// What a program writes to stdout. Throws where it cannot be run or fails.
std::string output_of(const std::vector<std::string>& command);

}  // namespace bubblescope::bench

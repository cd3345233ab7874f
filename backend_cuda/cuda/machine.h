// All that an executor has on the GPUs.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "backend_cuda/cuda/cupti.h"
#include "backend_cuda/cuda/gpus.h"
#include "backend_cuda/cuda/step.h"
#include "backend_cuda/cuda/work.h"

namespace bubblescope::gpu {

/// It cannot be destroyed while a kernel hangs.
class Machine {
 public:
  Machine(const Plan& plan, const ExecutorOptions& options);

  /// Asks CUDA for nothing, so also of a device that has failed.
  MachineFacts facts() const;
  void end_warm_up() { set(kExpired, 0); }
  /// Before a step is launched, once the one before has ended.
  void reset();
  /// Enqueues a step, and lets it begin.
  void launch();
  /// Whether that takes one call; else it waits where a stream has no room for more.
  bool launches_at_once() const { return options_.launch == Launch::Graph; }
  /// Ends the kernels that wait.
  void stop() noexcept;
  /// Whether all that was launched has ended.
  bool is_idle() const;

  /// After a step, where it is asked for: `actions` are the stamps of its actions.
  void cross_check(const std::vector<Span>& actions);

  Work& work() { return *work_; }
  const Step& step() const { return *step_; }
  /// [instruction], then [instructions + message]: now, by the clock of its GPU.
  Stamp stamp(std::size_t index) const;
  std::size_t stamps() const { return stamps_.size(); }
  /// How far the clock of a rank's GPU is ahead of that of the first GPU.
  Time ahead(Rank rank) const {
    return Time(clocks_.ahead(place_[static_cast<std::size_t>(rank)]));
  }

 private:
  Layout make_layout() const;
  std::unique_ptr<Work> make_work() const;
  void prepare();
  void set(std::size_t flag, unsigned int value) const noexcept {
    std::atomic_ref(flags_[flag]).store(value, std::memory_order_release);
  }

  static constexpr std::size_t kStop = 0;
  static constexpr std::size_t kOpen = 1;
  static constexpr std::size_t kExpired = 2;

  const Plan& plan_;
  const ExecutorOptions options_;
  const std::unique_ptr<Cupti> cupti_;  // from before the first context on; or none
  std::string cross_check_ = {};        // what the last one found
  const std::vector<Gpu> gpus_;
  const std::string versions_;            // of CUDA
  const std::vector<std::size_t> place_;  // [rank] in gpus_
  Clocks clocks_;
  SharedBuffer<unsigned int> flags_;  // by kStop, kOpen, kExpired
  SharedBuffer<Stamp> stamps_;
  SharedBuffer<long long> clock_ahead_;  // [rank]
  std::shared_ptr<const Partitions> partitions_;
  Layout layout_{};
  std::unique_ptr<Work> work_;
  std::optional<Step> step_;
  Graph graph_;  // none with Launch::Streams
  Event done_;
};

}  // namespace bubblescope::gpu

// All that an executor has on the GPUs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "backend_cuda/cuda/cupti.h"
#include "backend_cuda/cuda/gpus.h"
#include "backend_cuda/cuda/host_clock.h"
#include "backend_cuda/cuda/step.h"
#include "backend_cuda/cuda/work.h"

namespace bubblescope::gpu {

/// The one rank of a plan that this process runs, where others run the others.
struct Here {
  Rank rank;
  int replica;
  int replicas;
  int gpu;  ///< Among those of this host.
  std::function<std::unique_ptr<Wire>(const Layout& layout, const Work& work)> connect;
};

/// It cannot be destroyed while a kernel hangs.
class Machine {
 public:
  Machine(const Plan& plan, const ExecutorOptions& options, const Here* here = nullptr);

  /// Asks CUDA for nothing, so also of a device that has failed.
  MachineFacts facts() const;
  void end_warm_up() { set(kExpired, 0); }
  /// Before a step is launched, once the one before has ended.
  void reset();
  /// Enqueues a step, and lets it begin; where only one rank is here, `open` does.
  void launch();
  void open() { set(kOpen, 1); }
  /// Whether that takes one call; else it waits where a stream has no room for more.
  bool launches_at_once() const { return options_.launch == Launch::Graph; }
  /// Whether so much is launched that the rest may have to wait until the step begins.
  bool is_deep() const { return is_deep_; }
  /// Ends the kernels that wait.
  void stop() noexcept;
  /// Whether all that was launched has ended. Throws DeviceError where a connection has failed.
  bool is_idle() const;
  /// After a step, with the devices idle.
  void end_step();

  /// After a step, where it is asked for: `actions` are the stamps of its actions.
  void cross_check(const std::vector<Span>& actions);

  Work& work() { return *work_; }
  const Step& step() const { return *step_; }
  /// [instruction], then [instructions + message]: now, by the clock of its GPU.
  Stamp stamp(std::size_t index) const;
  std::size_t stamps() const { return stamps_.size(); }
  bool is_here(Rank rank) const { return layout_.is_here(rank); }
  bool has_wire() const { return wire_ != nullptr; }
  /// What the clock of a rank's GPU shows, by the clock that all ranks share: that of the first
  /// GPU or, where only one rank is here, the host's steady clock.
  Time common_time(Rank rank, unsigned long long reading) const;
  /// By how much `common_time` may be wrong.
  Time clock_uncertainty() const {
    return host_clock_ ? host_clock_->uncertainty() : clocks_.bracket() / 2;
  }

 private:
  Layout make_layout(const Here* here) const;
  std::unique_ptr<Work> make_work() const;
  void prepare(const Here* here);
  std::string launch_words() const;
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
  std::unique_ptr<Wire> wire_;           // to the ranks elsewhere; none where all are here
  std::optional<HostClock> host_clock_;  // the same
  std::optional<Step> step_;
  std::atomic<bool> is_deep_ = false;
  Graph graph_;  // none with Launch::Streams
};

}  // namespace bubblescope::gpu

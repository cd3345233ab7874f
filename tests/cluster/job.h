// Jobs of threads or of forked processes that meet over the loopback interface, and what becomes of
// each.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backend_cuda/cluster/control.h"
#include "tests/cluster/forked.h"
#include "tests/support/effort.h"

namespace bubblescope {

/// Of a job of `world` processes at a free port.
Seat leader_of(int world);
Seat with_rank(Seat seat, int rank);
constexpr int kSlow = kSanitized ? 4 : 1;
/// Processes of a large job; under sanitizers each of them takes some 200 MB.
constexpr int kMany = kSanitized ? 12 : 64;
/// For a process to end by itself.
constexpr std::chrono::seconds kToEnd{15 * kSlow};
/// Short enough for tests, and long enough for a busy machine.
ControlOptions quick_options();

/// What one process of a job does.
struct Part {
  Seat seat;
  ControlOptions options;
  std::function<void(Control& control)> work = [](Control&) {};
};

/// What became of it.
struct Outcome {
  bool met = false;
  int lost = -1;              ///< The rank that PeerLost names.
  std::string error = {};     ///< What was thrown; empty where all went well.
  std::int64_t ended_at = 0;  ///< Then. Nanoseconds of the steady clock, as all here.
};

/// Each in a thread of its own, started together.
std::vector<Outcome> play(const std::vector<Part>& parts);
/// Ranks 0 … world − 1 that do the same.
std::vector<Part> parts_of(int world, const std::function<void(Control& control)>& work);

/// What a forked process tells.
struct Story {
  std::atomic<bool> met = false;
  std::atomic<std::int64_t> met_at = 0;
  std::atomic<std::int64_t> acted_at = 0;  ///< For the work to set.
  std::atomic<std::int64_t> ended_at = 0;
  std::atomic<int> lost = -1;
  std::array<char, 1'024> error = {};
};

std::int64_t now_ns();

/// A job of processes, which exit with 0, or with 4 where something was thrown.
class ForkedJob {
 public:
  using Work = std::function<void(Control& control, Story& story)>;

  explicit ForkedJob(int world, const ControlOptions& options = quick_options());

  int world() const { return seat_.world; }
  const Seat& seat() const { return seat_; }
  const ControlOptions& options() const { return options_; }
  /// All ranks, or in turn those that are started.
  void start_all(const Work& work);
  void start(int rank, const Work& work);
  /// Those that are started from now on wait until it opens.
  void close_gate();
  void open_gate();
  bool all_meet() const;

  /// The one that was started as the i-th.
  Forked& process(int i) { return processes_[static_cast<std::size_t>(i)]; }
  const Story& story(int i) const { return stories_[static_cast<std::size_t>(i)]; }

 private:
  void wait_at_gate() const;

  Seat seat_;
  ControlOptions options_;
  Shared<Story> stories_;
  std::array<int, 2> gate_ = {-1, -1};
  std::vector<Forked> processes_;
};

}  // namespace bubblescope

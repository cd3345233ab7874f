// The options of a machine that replays: which, what it computes, how often, how long it may hang.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "backend_cuda/cluster/seat.h"
#include "backend_cuda/replay/executor.h"
#include "backend_cuda/replay/profile.h"
#include "backend_cuda/replay/replay.h"
#include "tools/options/options.h"

namespace bubblescope {

enum class Backend : std::uint8_t { Host, Cuda, Nccl };
std::string_view to_string(Backend backend);

/// Of --backend nccl.
struct ClusterChoice {
  SeatFlags seat = {};
  std::chrono::milliseconds meet_timeout{60'000};
};

struct MachineChoice {
  Backend backend = Backend::Host;
  ClusterChoice cluster = {};
  /// Its `shape.blocks` is a rank's share of the model; `executor_for` tells that of a stage.
  ExecutorOptions executor = {};
  ReplayOptions replay = {};
  std::string injection = {};           ///< "hang:1:1F2", for `parse_injection`.
  bool is_checked = true;               ///< A program that deadlocks is refused.
  std::optional<Profile> profile = {};  ///< What was measured of this very machine.

  /// Nothing is measured: the clock follows the costs.
  bool has_virtual_clock() const { return backend == Backend::Host && !executor.real_time; }
  bool has_tensors() const { return executor.workload == Workload::Tensors; }
  /// The options where a rank holds so many stages of a pipe. Throws UsageError where they cannot
  /// share its blocks.
  ExecutorOptions executor_for(int chunks) const;
};

struct MachineOptions {
  std::string backend, workload;
  std::string tokens, hidden, inner, blocks, seed;
  bool real_time = false;
  std::string launch;
  bool no_partitions = false;
  std::string repeats, warm_ups;
  std::string timeout = "30s";
  std::string inject;
  bool no_check = false;
  bool cross_check = false;
  std::string profile;
  SeatFlags seat;
  std::string meet_timeout, max_ctas;

  void add_to(CLI::App& app);
  /// What only a replay of a schedule has.
  void add_replay_options_to(CLI::App& app);
  /// Throws UsageError for words that are wrong or do not go together.
  MachineChoice choice() const;

 private:
  void add_cluster_options_to(CLI::App& app);
  void choose_machine(MachineChoice& choice) const;
  void choose_cluster(MachineChoice& choice) const;
  void take_profile(MachineChoice& choice) const;
  void refuse_what_means_nothing(const MachineChoice& choice) const;
  TensorShape tensor_shape() const;
};

/// Of "hang:RANK:ACTION" or "fail:RANK:ACTION"; of a pair each of its ops may be named. Throws
/// UsageError where the schedule has no such action.
Injection parse_injection(const std::string& text, const Schedule& schedule);

}  // namespace bubblescope

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
#include "tools/options/option.h"

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
  std::optional<Backend> backend;
  std::optional<Workload> workload;
  std::optional<Launch> launch;
  TensorShape shape{.blocks = 2};  ///< Enough blocks for two stages a rank.
  ClusterChoice cluster = {};
  int max_ctas = 0;  ///< As many as NCCL takes.
  std::optional<int> repeats, warm_ups;
  std::chrono::milliseconds timeout{30'000};
  bool real_time = false, no_partitions = false, no_check = false, cross_check = false;
  std::string inject, profile;
  OptionGroup tensors;     ///< What only a workload of tensors has.
  OptionGroup of_cluster;  ///< What only --backend nccl has.
  OptionGroup profiled;    ///< What --profile tells instead.

  void add_to(CLI::App& app);
  /// What only a replay of a schedule has.
  void add_replay_options_to(CLI::App& app);
  /// Throws UsageError for what does not go together.
  MachineChoice choice() const;

 private:
  void add_tensors_to(CLI::App& app);
  void add_cluster_options_to(CLI::App& app);
  void choose_machine(MachineChoice& choice) const;
  void take_profile(MachineChoice& choice) const;
};

/// Of "hang:RANK:ACTION" or "fail:RANK:ACTION"; of a pair each of its ops may be named. Throws
/// UsageError where the schedule has no such action.
Injection parse_injection(const std::string& text, const Schedule& schedule);

}  // namespace bubblescope

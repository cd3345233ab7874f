// The program as the processes of a job, started as torchrun starts them, on the test doubles of
// CUDA and NCCL.
#pragma once

#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

#include "tests/support/process.h"

namespace bubblescope {

using EnvironmentMap = std::map<std::string, std::string>;

/// The program on the doubles: with so many GPUs on each host.
EnvironmentMap double_environment(int gpus);
/// What the program says, but for its notes of the doubles' variables, which it does not know.
std::string without_notes(const std::string& err);

/// What only one of the processes has, or what it lacks.
struct ProcessChange {
  EnvironmentMap environment = {};
  std::string arguments = {};  ///< Behind the line.
  std::string prefix = {};     ///< A command that becomes the program: "ip netns exec NAME".
};

struct ClusterJobOptions {
  int processes;
  std::string line;                           ///< "replay 1f1b --backend nccl"
  EnvironmentMap environment = {};            ///< Of all, beside torchrun's and the doubles'.
  std::map<int, ProcessChange> changes = {};  ///< [rank]
  std::filesystem::path folder = {};          ///< Where they run; empty: the caller's.
  std::string master = "127.0.0.1";           ///< Where rank 0 is.
};

/// Whatever still runs at its end is killed.
class ClusterJob {
 public:
  /// Starts all. Throws std::system_error if one cannot be started.
  explicit ClusterJob(const ClusterJobOptions& options);
  ~ClusterJob();
  ClusterJob(const ClusterJob&) = delete;
  ClusterJob& operator=(const ClusterJob&) = delete;

  int processes() const { return static_cast<int>(processes_.size()); }
  pid_t id(int rank) const;
  /// SIGKILL, SIGSTOP, …; nothing where it has ended.
  void signal(int rank, int number) const;

  /// Whether all end in time.
  bool wait(std::chrono::milliseconds patience);
  /// Whether `condition` holds in time. It is asked again and again.
  bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds patience);
  /// What BUBBLESCOPE_DOUBLE_NOTES tells so far.
  std::string notes(int rank) const;
  /// Whether a process is in the midst of a step's messages, or has been: each of its
  /// communicators says a first word when it connects, and the rest in steps.
  bool has_begun_step(int rank) const;

  bool has_ended(int rank) const;
  /// From its start to its end; that is noticed in `wait` and `wait_until`.
  std::chrono::steady_clock::time_point ended_at(int rank) const;
  /// What it wrote so far, `without_notes`; `exit_code` and `wall` once it has ended.
  ProcessResult result(int rank) const;

 private:
  struct Process;
  Process& process(int rank) const { return *processes_.at(static_cast<std::size_t>(rank)); }
  bool look();

  TemporaryFolder notes_;
  std::vector<std::unique_ptr<Process>> processes_;  // [rank]
};

/// Runs a job to its end, or kills it after `patience`.
std::vector<ProcessResult> run_job(const ClusterJobOptions& options,
                                   std::chrono::milliseconds patience = std::chrono::minutes(1));

}  // namespace bubblescope

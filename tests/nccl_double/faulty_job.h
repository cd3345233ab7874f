// A job in which something goes wrong, and how it has to end: all processes in time, with the exit
// code that fits; who is at fault told once; and nothing left behind.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/nccl_double/cluster_job.h"
#include "tests/support/command.h"
#include "tests/support/effort.h"

namespace bubblescope {

/// --timeout, and how long processes may be silent; and --meet-timeout.
constexpr std::chrono::seconds kTimeout{kSanitized ? 3 : 1};
constexpr std::chrono::seconds kMeetTimeout{kSanitized ? 10 : 4};
/// From the fault to the last end.
constexpr std::chrono::milliseconds kLimit = kTimeout + std::chrono::seconds(10);

struct FaultyJobOptions {
  int processes = 2;
  int ranks = 2;  ///< Of a pipeline; more processes are more pipelines.
  /// What is replayed, of 40 ms an F, an I or a W: a step takes more than a second.
  std::string subject = "1f1b -p {ranks} -m 8 --comm stream";
  std::string outputs = "--trace trace.json -o report.json";
  std::string words = {};  ///< Behind the others.
  EnvironmentMap environment = {};
  std::map<int, ProcessChange> changes = {};  ///< [rank]
};

class FaultyJob {
 public:
  /// Starts it.
  explicit FaultyJob(const FaultyJobOptions& options);

  ClusterJob& job() { return job_; }
  const TemporaryFolder& folder() const { return folder_; }

  /// Until all are in the midst of a step, and for a while on.
  void wait_for_step(std::chrono::milliseconds while_on = std::chrono::milliseconds(200));
  /// Until all have begun to make communicators.
  void wait_for_communicators();
  /// Something goes wrong now, if nothing has before.
  void fault();
  void signal(int rank, int number);

  /// A file of how far it came; where rank 0 is at fault itself, nobody tells where it is.
  enum class Trace : std::uint8_t { Kept, None, Untold };
  /// All end in time from the fault on, and leave no other file.
  struct End {
    int code = kDevice;             ///< Of all but those that are named.
    std::map<int, int> codes = {};  ///< [rank]
    Trace trace = Trace::Kept;
  };
  void check_end(const End& end);
  void check_end() { check_end({}); }
  /// What is told on stderr by all of them, rank by rank.
  std::string told() const;
  /// The one line that begins with the program's name; a check that there is no other.
  std::string told_once() const;

 private:
  TemporaryFolder folder_;
  ClusterJob job_;
  std::optional<std::chrono::steady_clock::time_point> fault_at_;
};

/// "rank 2 (host gpu7, process 4711)" of a job on this host.
std::string name_of(ClusterJob& job, int rank);

/// Stands between a process and its leader, at 127.0.0.2 and the same port, until it stalls: then
/// all that is sent is taken and nothing arrives, both ways, and nobody is told.
class StallingLine {
 public:
  explicit StallingLine(int port);
  ~StallingLine();
  StallingLine(const StallingLine&) = delete;
  StallingLine& operator=(const StallingLine&) = delete;

  void stall();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bubblescope

// The other processes of a job, as the leader knows them while a plan is replayed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend_cuda/cluster/orders.h"

namespace bubblescope {

/// The leader waits for one of these.
enum class Turn : std::uint8_t {
  Launch,   ///< All are to be ready.
  Run,      ///< A step goes on.
  Compare,  ///< No step runs: gradients may be compared.
  Lost,     ///< All that is still under way.
};

/// Another process. Made by the leader, anew for each step, from what the process sends.
struct Other {
  bool is_ready = false;
  bool is_done = false;
  std::size_t ended = 0;                      ///< Instructions.
  std::optional<InstructionId> running = {};  ///< The action in which it was heard last.
  std::vector<ClockReading> readings = {};    ///< Before and after a step.
  std::optional<RankTimes> times = {};
  std::optional<Parity> parity = {};

  /// Takes a message of this process, which runs `rank`. Throws BadFrame where no follower sends
  /// it, or not in this turn.
  void take(std::string_view message, const Plan& plan, Rank rank, Turn turn);
};

/// When a pipeline ran, as far as its processes tell it.
struct PipelineTimes {
  int replica = 0;
  RunTimes times = {};
  Time uncertainty{};
};

/// The other processes of a job, by number. The leader passes in what it knows of itself.
class Others {
 public:
  /// `place` is the leader's. The plan has to outlive it.
  Others(const Plan& plan, const RankPlace& place, int world);

  Other& operator[](int process) { return others_[static_cast<std::size_t>(process)]; }
  const Other& operator[](int process) const { return others_[static_cast<std::size_t>(process)]; }
  /// Before a step.
  void forget();
  bool all_are(bool Other::*state) const;
  std::size_t ended() const;  ///< Instructions.
  /// The first process that was heard in an action; else the leader.
  int first_that_runs() const;
  /// "; it is rank 1 of pipeline 0 and was last heard in 1F3", without an action that was `said`.
  std::string whereabouts(int process, std::optional<InstructionId> leader_runs,
                          std::string_view said) const;
  PipelineTimes gather(int replica, const std::optional<RankTimes>& leader) const;
  /// The times of the pipeline of process `lost`; where that is none or the leader, of the first
  /// pipeline in which something has not ended.
  PipelineTimes gather_what_is_known(int lost, const std::optional<RankTimes>& leader) const;

 private:
  const Plan& plan_;
  const RankPlace place_;
  std::vector<Other> others_;  // [process], the first is not used
};

}  // namespace bubblescope

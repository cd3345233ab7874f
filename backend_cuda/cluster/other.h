// What the leader knows of another process while a plan is replayed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "backend_cuda/cluster/orders.h"

namespace bubblescope {

/// What the leader waits for.
enum class Turn : std::uint8_t {
  Launch,   ///< All are to be ready.
  Run,      ///< A step goes on.
  Compare,  ///< No step runs: gradients may be compared.
  Lost,     ///< All that is still under way.
};

/// Made by the leader, anew for each step, from what the process sends.
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

}  // namespace bubblescope

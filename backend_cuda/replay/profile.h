// What micro-benchmarks found out about a machine, and what a simulation becomes with it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend_cuda/replay/executor.h"
#include "backend_cuda/replay/measured_links.h"
#include "sim/costs/cost_model.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

/// What a machine takes between the end of one thing and the start of what waits for it.
struct LaunchGaps {
  Time action_to_action{};   ///< On one rank.
  Time action_to_message{};  ///< From what comes last before a message, also another message.
  Time message_to_action{};  ///< Of an ideal message, from when it should have arrived.
  Time message_overrun{};    ///< How much longer a message takes than its costs say.
};

/// What a stage of so many blocks takes while all other ranks rest, and how much longer while all
/// of them work.
struct StageTimes {
  int blocks = 0;
  StageCost first = {};  ///< The first stage of a pipe has no input's gradient.
  StageCost middle = {};
  StageCost last = {};                                   ///< The last makes the loss.
  std::array<double, kOpKinds> slowdown = {1, 1, 1, 1};  ///< [OpKind]
};

/// How much longer a GEMM takes beside messages of communicators with so many CTAs.
struct Contention {
  int max_ctas;
  double slowdown;
};

struct Profile {
  std::string backend = {};
  std::string created = {};  ///< When: UTC, ISO 8601; and
  std::string command = {};  ///< how.
  MachineFacts machine = {};
  int ranks = 0;
  ExecutorOptions options = {};  ///< What was measured with; `shape.blocks` is a rank's share.
  Time p2p{};  ///< Latency of the messages that were measured: gaps are those beside it.
  std::array<LaunchGaps, 4> gaps = {};  ///< [Comm]
  Time action_overrun{};                ///< How much longer a timed action takes than it should.
  std::optional<MeasuredLinks> links = {};
  std::vector<Contention> contention = {};  ///< With Workload::Tensors, as the next.
  std::vector<StageTimes> stages = {};
  double noise = 0;  ///< Half the range of a wave's length over repeats, by its median.
};

/// "16 SMs for each rank then, no partitions of the SMs now" where a machine that was measured had
/// other partitions; else nothing.
std::optional<std::string> other_partitions(const MachineFacts& measured, const MachineFacts& here);

/// Throws Error where the profile has no stage of so many blocks, or is for other ranks.
CostSource costs_of(const Profile& profile, const Placement& placement, int blocks);

/// Runs the graph with the gaps added to it, and each action as much slower as other ranks work
/// beside it. Changes the graph's times. `blocks`: of a stage.
Timeline simulate_on(const Profile& profile, DependencyGraph& graph, int blocks);

/// {"format": "bubblescope-profile/1", …}
std::string profile_json(const Profile& profile);
/// Throws Error as readers of JSON do.
Profile parse_profile(std::string_view text, const std::string& file);
Profile read_profile(const std::string& path);

}  // namespace bubblescope

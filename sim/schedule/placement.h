// Which rank holds which stage.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/base/types.h"

namespace bubblescope {

/// Stages 0 … depth−1 are those of the first pipe, depth … 2·depth−1 those of a second one. Each
/// pipe numbers its own stages, so that a stage sits on one rank; stages of two pipes that share
/// their weights have the same entry in `weights_of_stage`.
struct Placement {
  int ranks = 0;
  int pipes = 0;
  int depth = 0;                                    ///< Stages of one pipe.
  std::vector<Rank> rank_of_stage = {};             ///< [pipes · depth]
  std::vector<std::int32_t> weights_of_stage = {};  ///< [pipes · depth], each 0 … depth−1

  Rank rank(Stage stage) const { return rank_of_stage[static_cast<std::size_t>(stage)]; }
  int stages() const { return pipes * depth; }
  /// Stages that a rank holds per pipe, v.
  int chunks() const { return depth / ranks; }
  /// How many copies of the model's weights all ranks hold together: 2 where two pipes cross.
  int weight_copies() const { return pipes; }

  /// The stage that feeds `stage` in the forward direction; none for the first of a pipe.
  std::optional<Stage> before(Stage stage) const;
  /// The stage that `stage` feeds in the forward direction; none for the last of a pipe.
  std::optional<Stage> after(Stage stage) const;

  friend bool operator==(const Placement&, const Placement&) = default;
};

/// Why ranks cannot hold these stages: each has to hold `chunks()` of each pipe, 1 or more, and the
/// stages of a pipe have weights of their own.
std::optional<std::string> find_placement_fault(const Placement& placement);

/// One pipe, stage s on rank s mod p. `chunks` is v.
struct LoopShape {
  int ranks;
  int chunks;
};
Placement loop_placement(LoopShape shape);

/// One pipe that turns at the last rank and at the first, `chunks` − 1 times: rank r holds stages
/// r, 2p−1−r, 2p+r, …
Placement wave_placement(LoopShape shape);
/// A wave that turns once.
Placement v_placement(int ranks);

/// Two pipes in opposite directions: stage k on rank k, and stage p+k, with the same weights, on
/// rank p−1−k.
Placement bidirectional_placement(int ranks);

}  // namespace bubblescope

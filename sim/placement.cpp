#include "sim/placement.h"

namespace bubblescope {

std::optional<Stage> Placement::before(Stage stage) const {
  if (stage % depth == 0)
    return std::nullopt;
  return stage - 1;
}

std::optional<Stage> Placement::after(Stage stage) const {
  if (stage % depth == depth - 1)
    return std::nullopt;
  return stage + 1;
}

Placement loop_placement(LoopShape shape) {
  Placement placement{.ranks = shape.ranks, .pipes = 1, .depth = shape.ranks * shape.chunks};
  for (Stage stage = 0; stage < placement.depth; ++stage) {
    placement.rank_of_stage.push_back(stage % shape.ranks);
    placement.weights_of_stage.push_back(stage);
  }
  return placement;
}

Placement wave_placement(LoopShape shape) {
  Placement placement = loop_placement(shape);
  for (Stage stage = 0; stage < placement.depth; ++stage)
    if (stage / shape.ranks % 2 == 1)
      placement.rank_of_stage[static_cast<std::size_t>(stage)] =
          shape.ranks - 1 - stage % shape.ranks;
  return placement;
}

Placement v_placement(int ranks) {
  return wave_placement({.ranks = ranks, .chunks = 2});
}

Placement bidirectional_placement(int ranks) {
  Placement placement{.ranks = ranks, .pipes = 2, .depth = ranks};
  for (Stage stage = 0; stage < ranks; ++stage) {
    placement.rank_of_stage.push_back(stage);
    placement.weights_of_stage.push_back(stage);
  }
  for (Stage stage = 0; stage < ranks; ++stage) {
    placement.rank_of_stage.push_back(ranks - 1 - stage);
    placement.weights_of_stage.push_back(stage);
  }
  return placement;
}

}  // namespace bubblescope

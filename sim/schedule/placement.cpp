#include "sim/schedule/placement.h"

#include <fmt/format.h>

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

std::optional<std::string> find_placement_fault(const Placement& placement) {
  const std::string pipe =
      fmt::format("{} stages{}", placement.depth, placement.pipes == 1 ? "" : " of each pipe");
  if (placement.depth % placement.ranks != 0)
    return fmt::format("{} on {} ranks: expected as many on each", pipe, placement.ranks);
  std::vector<int> held(static_cast<std::size_t>(placement.pipes) *
                        static_cast<std::size_t>(placement.ranks));
  for (Stage stage = 0; stage < placement.stages(); ++stage)
    ++held[static_cast<std::size_t>(stage / placement.depth) *
               static_cast<std::size_t>(placement.ranks) +
           static_cast<std::size_t>(placement.rank(stage))];
  for (std::size_t i = 0; i < held.size(); ++i)
    if (held[i] != placement.chunks())
      return fmt::format("{} on {} ranks: expected {} on each, and rank {} has {}", pipe,
                         placement.ranks, placement.chunks(),
                         i % static_cast<std::size_t>(placement.ranks), held[i]);
  std::vector<bool> has_weights(held.size() * static_cast<std::size_t>(placement.chunks()));
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const Stage pipe_begin = stage - stage % placement.depth;
    const Stage own = placement.weights_of_stage[static_cast<std::size_t>(stage)];
    const auto weights = static_cast<std::size_t>(pipe_begin) + static_cast<std::size_t>(own);
    if (has_weights[weights])
      return "two stages of one pipe have the same weights";
    has_weights[weights] = true;
  }
  return std::nullopt;
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

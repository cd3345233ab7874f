// What makes steps differ: jitter, slow ranks, hiccups. Drawn from a seed, alike on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/types.h"
#include "sim/engine/dependency_graph.h"

namespace bubblescope {

/// A rank that takes `factor` times as long as the costs say.
struct Straggler {
  Rank rank;
  double factor;
};

/// Each action's duration is multiplied by what its rank and the action itself draw. Messages and
/// what they take stay.
struct Noise {
  double jitter = 0;       ///< Standard deviation of an action's factor around 1.
  double rank_jitter = 0;  ///< Of a rank's, drawn once a step.
  std::vector<Straggler> stragglers = {};
  double hiccup_share = 0;            ///< Of the actions, which take
  double hiccup_factor = 1;           ///< times as long.
  std::vector<double> measured = {};  ///< Factors of which each action draws one; may be empty.

  bool is_given() const {
    return jitter > 0 || rank_jitter > 0 || !stragglers.empty() || hiccup_share > 0 ||
           !measured.empty();
  }
};

/// One step's durations into `noisy` [NodeId], from those without noise, for the `sample`-th draw
/// of `seed`. Every sample is drawn by itself: none needs those before it.
void draw_durations(const DependencyGraph& graph, std::span<const Time> calm, const Noise& noise,
                    std::uint64_t seed, std::uint64_t sample, std::span<Time> noisy);

}  // namespace bubblescope

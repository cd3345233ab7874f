// Over how many nodes and GPUs a token's experts are spread.
#pragma once

#include <cstdint>

#include "sim/transformer/model.h"

namespace bubblescope {

/// Where the experts of one group of GPUs are: expert after expert on GPU after GPU, and those on
/// node after node.
struct ExpertPlaces {
  std::int64_t gpus = 1;
  std::int64_t gpus_per_node = 1;
};

/// How many different nodes, or GPUs, a token's experts are on: the expectation over groups that
/// are chosen evenly (node-limited routing limits groups, DeepSeek-V3, section 2.1.2, which nodes
/// follow), and over experts drawn evenly from these.
struct ExpertSpread {
  double nodes = 1;  ///< That the expert group is on.
  double node_copies = 1;
  double gpu_copies = 1;
};
ExpertSpread expert_spread(const Experts& experts, const ExpertPlaces& places);

}  // namespace bubblescope

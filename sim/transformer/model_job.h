// A model to be trained on hardware, divided over GPUs.
#pragma once

#include <optional>

#include "sim/transformer/layer_setting.h"
#include "sim/transformer/stage_layout.h"

namespace bubblescope {

/// Which ranks of a job share a node, and what else their messages share.
struct Nodes {
  std::optional<int> ranks_per_node = {};  ///< Default: as many stages as a node has GPUs for.
  double nvlink = 0;  ///< Bytes a second that a node's messages divide; 0: nothing is shared.
  double nic = 0;     ///< The same of those that leave it, and of those that come into it.
};

/// A model to be trained on hardware, for pipes of any depth.
struct ModelJob {
  Model model;
  Hardware hardware;
  Parallel parallel = {};
  Training training = {};
  std::optional<StageLayout> layout = {};  ///< Default: `even_layout`, or `balanced_layouts`.
  bool is_balanced = false;                ///< The latter, where there is no layout.
  Nodes nodes = {};
};

}  // namespace bubblescope

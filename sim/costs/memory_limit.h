// What a rank may hold.
#pragma once

#include <optional>
#include <string>

#include "sim/base/types.h"

namespace bubblescope {

/// Live activations of stages, or bytes with its weights; no limit where neither is given.
struct MemoryLimit {
  std::optional<int> live_activations = {};
  std::optional<Bytes> bytes = {};
  std::string owner = {};  ///< "h800", whose memory it is; empty where it was asked for.

  bool is_given() const { return live_activations || bytes; }
};

}  // namespace bubblescope

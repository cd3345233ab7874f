// Costs that are taken so many times: what if the all-to-all took 30 % less?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sim/base/types.h"
#include "sim/costs/network.h"
#include "sim/costs/stage_cost.h"

namespace bubblescope {

/// One part of the costs is scaled by a factor.
struct CostScale {
  enum class What : std::uint8_t {
    Forward,
    InputGrad,
    WeightGrad,
    Backward,    ///< Both parts.
    Overlapped,  ///< An F&B pair whose time the costs give.
    P2p,         ///< Latency of a message, on every link.
    Bandwidth,   ///< Its rate, on every link.
    Message,
    Nvlink,  ///< The rate that messages of a node share.
    Nic,     ///< The rate that those between nodes share.
    Stage,   ///< All times of stage `number` of a pipe.
    Rank,    ///< All times of the stages of rank `number`.
    Phase,   ///< Phases whose name is `phase`, in which * stands for any letters.
  };
  What what;
  double factor = 1;
  int number = 0;
  std::string phase = {};

  bool is_of_place() const { return what == What::Stage || what == What::Rank; }
  /// Whether it changes F, I or W, and so what a pair would take.
  bool is_of_ops() const { return what <= What::Backward || what == What::Phase; }
};

/// "forward=0.9", "stage:3=1.1", "rank:0=2", "phase:*dispatch*=0.7". Throws Error that names what
/// is wrong.
CostScale parse_scale(std::string_view text);

/// "stage:3=1.1"
std::string to_string(const CostScale& scale);

/// Scales what belongs to links. Whether there was anything to scale.
bool scale_links(const CostScale& scale, Link& link, std::optional<Network>& network);

/// Scales what belongs to a stage, which is `position` of its pipe and lies on `rank`. Whether
/// there was anything to scale.
bool scale_stage(const CostScale& scale, StageCost& stage, Stage position, Rank rank);

}  // namespace bubblescope

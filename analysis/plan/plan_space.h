// All configurations that a plan chooses from.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "analysis/plan/plan_bounds.h"

namespace bubblescope {

/// Splits with the schedules that each can have: what passes divisibility, and the constraints of
/// model, node and schedule. In an order of its own, the same for all who ask the same.
struct PlanSpace {
  std::vector<PlanSplit> splits = {};
  /// A configuration is one of the splits with one of the question's schedules.
  struct Configuration {
    std::uint32_t split;
    std::uint32_t schedule;
  };
  std::vector<Configuration> configurations = {};
  /// [schedule, p, v] Of all that are there.
  std::map<std::tuple<std::uint32_t, int, int>, OrderTraits> traits = {};

  const PlanSplit& split_of(std::uint32_t number) const {
    return splits[configurations[number].split];
  }
  const OrderTraits& traits_of(std::uint32_t number) const {
    const PlanSplit& split = split_of(number);
    return traits.at({configurations[number].schedule, split.ranks, split.chunks});
  }
  ModelJob job_of(const PlanQuestion& question, std::uint32_t number) const {
    return bubblescope::job_of(question, split_of(number), traits_of(number).placement);
  }
};

/// Tensor parallelism stays within a node. An interleaved schedule has two chunks at least, since
/// with one it is another schedule, and chunks that do not make the longest stage shorter are left
/// out unless they are asked for, or follow from a layout. What Megatron-Core has for experts alone
/// is left out where it would refuse it. Throws Error, which tells what leaves nothing, where the
/// space is empty.
PlanSpace plan_space(const PlanQuestion& question);

}  // namespace bubblescope

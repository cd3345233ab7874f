// Costs of a pipe's stages, for a search that asks for thousands of splits.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/costs/cost_model.h"
#include "sim/transformer/model_job.h"

namespace bubblescope {

/// One stage, as a CostModel would tell it.
struct StageFigures {
  std::array<Time, kOpKinds> times = {};  ///< [OpKind] outside a pair.
  Time forward_work{};                    ///< An F keeps the compute stream busy so long.
  Time backward_work{};                   ///< Likewise of a B.
  Bytes activation = 0;                   ///< From F on.
  Bytes rest = 0;                         ///< Between I and W.
  Bytes weights = 0;                      ///< With gradients, optimizer state and buffers.
  Bytes message = 0;                      ///< Bytes that it sends to the next stage.
  Time grad_reduce{};
  Time optimizer{};
  std::int64_t layers = 1;
};

/// A job's stages, of which those that are alike are computed once. The figures are to the
/// nanosecond and byte those of a CostModel over `analytic_costs`, which a test holds.
class SplitCosts {
 public:
  /// The job's own layout does not count. Throws Error as `analytic_costs` does.
  SplitCosts(const ModelJob& job, const StageLayout& layout);

  int depth() const { return static_cast<int>(kind_of_stage_.size()); }
  /// `position` is 0 … depth−1.
  const StageFigures& operator[](std::size_t position) const {
    return figures_[kind_of_stage_[position]];
  }
  /// An F&B pair of stages at these positions, as its phases run side by side. Not for several
  /// threads at a time.
  Time pair(std::size_t forward, std::size_t backward);
  /// Time of a message from one rank to another; zero on the same one.
  Time hop(Rank from, Rank to, Bytes bytes) const;

 private:
  std::vector<std::uint32_t> kind_of_stage_ = {};  // [position] among those that differ
  std::vector<StageFigures> figures_ = {};         // [kind]
  CostSource source_ = {};                         // of one stage of each kind
  std::vector<Time> pairs_ = {};                   // [kind of F][kind of B], kNoPair until asked
};

/// Bytes that each GPU of a stage keeps for ever at least, for all positions together: far cheaper
/// than the whole costs. Throws Error as `stage_memory` does.
std::vector<Bytes> weights_by_stage(const ModelJob& job, const StageLayout& layout);

}  // namespace bubblescope

// Where in the space of costs a linear form of the step time holds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analysis/explain/step_function.h"

namespace bubblescope {

/// Whether B is no cost of its own but goes with I and W: it lasts as long as both, and one of them
/// occurs beside it.
bool goes_with_its_parts(const PerCost<bool>& occurs, const PerCost<std::int64_t>& costs);

/// The step time over costs that can be changed one by one.
class CostSpace {
 public:
  /// `costs` as `step` takes them. A kind that does not occur in the graph has no place in it, nor
  /// have messages that take no time: they are not modelled.
  CostSpace(const StepFunction& step, const PerCost<bool>& occurs,
            const PerCost<std::int64_t>& costs, bool splits_backward);

  const PerCost<std::int64_t>& costs() const { return costs_; }
  /// Those that can be changed; without B where it is split into I and W.
  const std::vector<CostKind>& kinds() const { return kinds_; }
  bool splits_backward() const { return splits_backward_; }

  /// The step and its form; where B is split, of that in `costs` no notice is taken.
  StepFunction::Longest at(PerCost<std::int64_t> costs) const;

 private:
  const StepFunction& step_;
  PerCost<std::int64_t> costs_;
  bool splits_backward_;
  std::vector<CostKind> kinds_ = {};
};

/// All costs at which each face and what is assumed is ≥ 0.
struct ValidityRegion {
  std::vector<LinearForm> faces;  ///< None can be left out.
  /// That a pair lasts at least as long as its F, and as its B; where it does not here, nothing.
  std::vector<LinearForm> assumed;
  /// False where there are so many that not all were found: the form may fail inside.
  bool is_exact = true;
};

/// "where W ≤ I and 3·I ≤ 4·F, if a pair lasts no less than its F and its B"
std::string region_words(const ValidityRegion& region);

/// Where `form`, the longest path's at some costs, is the step time. Exact: a path that is longer
/// somewhere is longer on an extreme ray of the cone where those known so far are not, since the
/// step time is convex and homogeneous; so each ray is simulated, and what is longer there cuts it
/// off, until nothing is. A path is told in counts of costs: for `StepFunction::Unit::Once`.
ValidityRegion validity_region(const CostSpace& space, const LinearForm& form);

/// How far one cost can go, the others as they are, before `form` is no longer the step time.
struct CostRange {
  std::int64_t least;
  std::int64_t most;
  bool is_open;  ///< `most` is only as far as was looked.
};
CostRange range_of(const CostSpace& space, const LinearForm& form, CostKind kind,
                   std::int64_t limit);

}  // namespace bubblescope

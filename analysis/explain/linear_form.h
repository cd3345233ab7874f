// Sums of costs, each so many times: what a path, an idle time, a step is made of.
#pragma once

#include <cstdint>
#include <string>

#include "analysis/figures/cost_kinds.h"

namespace bubblescope {

/// In which order people write them.
constexpr std::array<CostKind, kCostKinds> kWrittenOrder = {
    CostKind::Pair,      CostKind::Forward,    CostKind::Backward,
    CostKind::InputGrad, CostKind::WeightGrad, CostKind::Hop};

/// [CostKind] How often each cost is paid; negative where it is saved.
using LinearForm = PerCost<std::int64_t>;

LinearForm operator-(const LinearForm& a, const LinearForm& b);
std::int64_t dot(const LinearForm& form, const PerCost<std::int64_t>& costs);
bool is_zero(const LinearForm& form);

/// Where B lasts as long as I and W: each B as an I and a W, and back, as many as both allow if no
/// other I or W is left.
LinearForm with_split_backward(LinearForm form);
LinearForm with_whole_backward(LinearForm form);

/// "7·F + 7·B", "3·F&B + 3·F − 6·W"; "0" where there is none.
std::string to_text(const LinearForm& form);

/// `form` ≥ 0 with all on the side where it counts: "W ≤ I", "3·I ≤ 4·F".
std::string inequality_text(const LinearForm& form);

}  // namespace bubblescope

// Between schedules and the letters that a search works on.
#pragma once

#include <optional>

#include "sim/schedule/schedule.h"
#include "sim/search/problem.h"

namespace bubblescope {

/// The letters of `schedule`, each B as an I and a W; none where it is not of the same shape as
/// `problem`, is incomplete, has pairs or exceeds the memory limit.
std::optional<Letters> to_letters(const Problem& problem, const Schedule& schedule);

Schedule to_schedule(const Problem& problem, const Placement& placement, const Letters& letters);

}  // namespace bubblescope

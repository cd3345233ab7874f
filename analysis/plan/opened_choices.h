// How much each choice costs that a plan was narrowed in.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "analysis/plan/plan_search.h"

namespace bubblescope {

/// A question with one choice open that it narrows.
struct OpenedChoice {
  std::string_view option = {};  ///< "--tp"
  PlanQuestion question;
  PlanSpace space = {};
  std::optional<PlanRow> quickest = {};  ///< None where nothing that fits takes less time.
};

/// Opens one choice after another, and finds the quickest that takes less than `time` there. A
/// choice that gives no more than the question's `configurations` narrows nothing, and is left out.
/// Ends early, with those done, where `is_stopped`, which may be empty, says so.
std::vector<OpenedChoice> open_choices(const PlanQuestion& question, std::size_t configurations,
                                       Time time, int threads,
                                       const std::function<bool()>& is_stopped);

}  // namespace bubblescope

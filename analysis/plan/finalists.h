// Automatic schedules, made for the best divisions that a search found.
#pragma once

#include <functional>
#include <vector>

#include "analysis/plan/plan_details.h"
#include "analysis/plan/plan_search.h"

namespace bubblescope {

/// So many divisions get automatic schedules: a search takes as long as a thousand simulations.
constexpr std::size_t kFinalists = 2;

struct FinalistPlan {
  PlanQuestion question;  ///< Its schedules are the automatic ones.
  PlanSpace space = {};
  std::vector<PlanRow> rows = {};         ///< All of the space, best first.
  std::vector<PlanDetails> details = {};  ///< [row]
};

/// Makes the question's automatic schedules for the divisions of the best rows, whatever their
/// schedules and chunks, within the question's memory. Only the first `known` rows count: they are
/// those of any search for the question. Leaves out what cannot be had. Ends early, with what is
/// done, where `is_stopped`, which may be empty, says so.
FinalistPlan search_finalists(const PlanQuestion& question, const PlanResult& result,
                              std::size_t known, int threads,
                              const std::function<bool()>& is_stopped);

}  // namespace bubblescope

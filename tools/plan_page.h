// Rows, notes and messages by which `plan` tells a search.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/plan/finalists.h"
#include "analysis/plan/opened_choices.h"
#include "analysis/plan/quickest_layout.h"
#include "analysis/views/plan_view.h"
#include "tools/inputs.h"
#include "tools/options/plan_options.h"

namespace bubblescope {

/// A search's findings, with what is looked at once the best is known.
struct PlanFindings {
  PlanResult result = {};
  std::vector<OpenedChoice> opened = {};
  FinalistPlan finalists = {};
  std::optional<BetterLayout> better = {};  ///< For the best, whose layers are laid evenly.
};

/// Something was simulated.
PlanPage plan_page(const PlanCommandOptions& options, const PlanQuestion& question,
                   const PlanFindings& findings);

/// Every configuration with what became of it, as CSV or a line of JSON each.
std::string all_rows(const PlanCommandOptions& options, const PlanQuestion& question,
                     const PlanResult& result, bool as_json);

/// The least memory that would do and by what; or that nothing is known yet.
std::string why_nothing_fits(const PlanCommandOptions& options, const PlanQuestion& question,
                             const PlanResult& result);

/// With "inputs": what was asked.
Provenance plan_provenance(const PlanCommandOptions& options, const PlanQuestion& question);

}  // namespace bubblescope

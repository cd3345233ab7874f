// A plan's configurations as rows, each with the command that gives it.
#pragma once

#include <map>
#include <string>

#include "analysis/plan/plan_details.h"
#include "analysis/views/plan_view.h"
#include "tools/options/plan_options.h"

namespace bubblescope {

/// Makes rows with the keys of data/schema/plan.schema.json.
class PlanRows {
 public:
  /// They have to outlive it.
  PlanRows(const PlanCommandOptions& options, const PlanQuestion& question, const PlanSpace& space);

  /// `best` is the time of the best that fits.
  Json row(const PlanRow& row, Time best);
  Json row(const PlanRow& row, Time best, const PlanDetails& details);
  /// A row of a configuration that was not simulated: its bounds instead of figures.
  Json bounded(std::uint32_t number, const PlanBound& bound);
  /// "interleaved-1f1b, tp=2 pp=8 dp=16 v=5"
  std::string name(std::uint32_t number) const;
  /// bubblescope simulate …
  std::string command(std::uint32_t number) const;

 private:
  const PlanSplit& split_of(std::uint32_t number) const;
  const CatalogueEntry& schedule_of(std::uint32_t number) const;
  Json choices_json(std::uint32_t number) const;
  const StepWork& work_of(const PlanSplit& split);
  std::string recompute_word(const PlanSplit& split) const;

  const PlanCommandOptions& options_;
  const PlanQuestion& question_;
  const PlanSpace& space_;
  Json job_;                                    // what the job's own options say
  std::vector<std::string> passed_on_;          // options that simulate takes as they are
  std::map<std::int64_t, StepWork> work_ = {};  // [micro-batch size] of a step
};

}  // namespace bubblescope

#include "analysis/plan/plan_question.h"

#include "sim/transformer/balanced_layout.h"

namespace bubblescope {

ModelJob job_of(const PlanQuestion& question, const PlanSplit& split, const Placement& placement) {
  ModelJob job = question.job;
  job.parallel = split.parallel;
  job.training.microbatch = split.microbatch;
  job.training.recompute = split.recompute;
  job.layout = layout_over(job, placement);
  return job;
}

}  // namespace bubblescope

#include "analysis/plan/plan_question.h"

#include <utility>

namespace bubblescope {

ModelJob job_of(const PlanQuestion& question, const PlanSplit& split) {
  ModelJob job = question.job;
  job.parallel = split.parallel;
  job.training.microbatch = split.microbatch;
  job.training.recompute = split.recompute;
  if (!job.layout)
    job.layout = even_layout(job.model, split.depth());
  return job;
}

}  // namespace bubblescope

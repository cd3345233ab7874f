#include "analysis/plan/plan_question.h"

#include "sim/transformer/balanced_layout.h"

namespace bubblescope {

Training training_of(const PlanQuestion& question, const Parallel& parallel) {
  Training training = question.job.training;
  if (question.divides_sequence_for_experts && parallel.expert > 1)
    training.sequence_parallel = true;
  return training;
}

ModelJob job_of(const PlanQuestion& question, const PlanSplit& split, const Placement& placement) {
  ModelJob job = question.job;
  job.parallel = split.parallel;
  job.training = training_of(question, split.parallel);
  job.training.microbatch = split.microbatch;
  job.training.recompute = split.recompute;
  job.layout = layout_over(job, placement);
  return job;
}

}  // namespace bubblescope

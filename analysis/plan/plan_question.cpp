#include "analysis/plan/plan_question.h"

#include <utility>

#include "sim/transformer/balanced_layout.h"

namespace bubblescope {

std::vector<const CatalogueEntry*> ordered_schedules() {
  std::vector<const CatalogueEntry*> result;
  for (const CatalogueEntry& entry : catalogue())
    if (entry.automatic == nullptr)
      result.push_back(&entry);
  return result;
}

std::vector<OpenQuestion> with_a_choice_open(const PlanQuestion& question) {
  std::vector<OpenQuestion> result;
  const auto open = [&](std::string_view option, auto list) {
    if ((question.choices.*list).empty())
      return;
    result.push_back({option, question});
    (result.back().question.choices.*list).clear();
  };
  open("--tp", &PlanChoices::tensor);
  open("--cp", &PlanChoices::context);
  open("--pp", &PlanChoices::pipeline);
  open("--ep", &PlanChoices::expert);
  open("-v", &PlanChoices::chunks);
  open("--microbatch-size", &PlanChoices::microbatch_sizes);
  open("--recompute", &PlanChoices::recompute);
  if (std::vector<const CatalogueEntry*> all = ordered_schedules();
      question.choices.schedules.size() < all.size()) {
    result.push_back({"--schedules", question});
    result.back().question.choices.schedules = std::move(all);
  }
  return result;
}

PostedProgram program_of(const PlanQuestion& question, const PlanSplit& split,
                         const CatalogueEntry& entry) {
  return post_messages(entry, split.shape(), question.comm.of(entry, split.chunks));
}

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

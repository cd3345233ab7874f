// The question of `plan`: a training job on so many GPUs, and which ways to divide it are open.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "analysis/figures/iteration.h"
#include "sim/costs/memory_limit.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "sim/transformer/model_job.h"

namespace bubblescope {

/// Micro-batches of as many sequences are tried where none are asked for, as far as the batch
/// divides so.
constexpr std::int64_t kUsualMicrobatchSizes[] = {1, 2, 4, 8};

/// Each choice is narrowed to a list; an empty one leaves it open.
struct PlanChoices {
  std::vector<std::int64_t> tensor = {};
  std::vector<std::int64_t> context = {};
  std::vector<std::int64_t> pipeline = {};
  std::vector<std::int64_t> expert = {};
  std::vector<std::int64_t> chunks = {};
  std::vector<std::int64_t> microbatch_sizes = {};
  std::vector<Recompute> recompute = {};
  /// Never empty, and in the order in which they are tried.
  std::vector<const CatalogueEntry*> schedules = {};
  /// Automatic ones, which are made for the best divisions alone.
  std::vector<const CatalogueEntry*> searched = {};
};

struct PlanQuestion {
  /// Its parallel degrees, micro-batch and recomputation are what is searched. A layout of its own
  /// fixes pp · v.
  ModelJob job;
  std::int64_t gpus = 1;
  std::int64_t global_batch = 1;  ///< Sequences.
  PlanChoices choices = {};
  /// Sequence parallelism is on where experts are divided, whatever the job says.
  bool divides_sequence_for_experts = false;
  CommWays comm = {};
  IterationOptions iteration = {};
  Bytes memory_limit = 0;  ///< Tensors may hold so much of a GPU.
};

/// All schedules of the catalogue that have an order of their own.
std::vector<const CatalogueEntry*> ordered_schedules();

/// A question as it is with one choice open that it narrows, by the option that narrows it.
struct OpenQuestion {
  std::string_view option;
  PlanQuestion question;
};
std::vector<OpenQuestion> with_a_choice_open(const PlanQuestion& question);

/// How a job is divided, but for its schedule.
struct PlanSplit {
  Parallel parallel = {};
  int ranks = 1;
  int chunks = 1;
  std::int64_t microbatch = 1;
  int microbatches = 1;
  Recompute recompute = {};

  int depth() const { return ranks * chunks; }
  Shape shape() const { return {.ranks = ranks, .microbatches = microbatches, .chunks = chunks}; }
  friend bool operator==(const PlanSplit&, const PlanSplit&) = default;
};

/// A schedule's order for a split, with its messages.
PostedProgram program_of(const PlanQuestion& question, const PlanSplit& split,
                         const CatalogueEntry& entry);

/// Training as it is where experts are divided so: these need sequence parallelism.
Training training_of(const PlanQuestion& question, const Parallel& parallel);

/// The question's job, divided so, with layers laid over a schedule's placement.
ModelJob job_of(const PlanQuestion& question, const PlanSplit& split, const Placement& placement);

}  // namespace bubblescope

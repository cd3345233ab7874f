// Which of the balanced layouts of a job a program runs soonest.
#pragma once

#include "analysis/figures/iteration.h"
#include "sim/program/posted_program.h"
#include "sim/transformer/model_job.h"

namespace bubblescope {

/// So many layouts of equal load are simulated at most.
constexpr std::size_t kMostLayoutTies = 200;

/// The one of the balanced layouts with the shortest iteration, the first of those that tie. Throws
/// Error as `balanced_layouts` does.
StageLayout quickest_layout(const ModelJob& job, const PostedProgram& program,
                            IterationOptions options);

}  // namespace bubblescope

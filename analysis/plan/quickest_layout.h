// Which of the balanced layouts of a job a program runs soonest.
#pragma once

#include <optional>

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

/// A layout, and which part of a time it saves.
struct BetterLayout {
  StageLayout layout = {};
  double saving = 0;
};
/// The first balanced layout, of a job whose layers are laid evenly, if its iteration takes 2 %
/// less than `time`, and no rank holds more than `memory_limit`.
std::optional<BetterLayout> better_layout(const ModelJob& job, const PostedProgram& program,
                                          IterationOptions options, Time time, Bytes memory_limit);

}  // namespace bubblescope

// Steps of a pipeline as a real training run told them: which action ran when.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/engine/timeline.h"
#include "sim/program/posted_program.h"

namespace bubblescope {

/// A file of a profile has no more bytes.
constexpr std::size_t kMostProfileBytes = std::size_t{1} << 30;

/// One action, or of a pair both ops with the span that they share.
struct ProfiledAction {
  Rank rank;
  Action action;
  Span span;
};

struct ProfiledStep {
  std::string name = {};                     ///< "iteration 2"
  std::vector<ProfiledAction> actions = {};  ///< In any order.
};

/// What a profile has, before it is laid over a schedule.
struct RunProfile {
  std::string source = {};    ///< "Primus dumps, runs/42": for people.
  std::string schedule = {};  ///< Its name where the profile tells it.
  Comm comm = {};             ///< How the ranks talked, where the profile tells it.
  /// Whether moments of different ranks compare. Else each rank counts from a moment of its own.
  bool has_common_clock = false;
  int warm_ups = 0;  ///< Steps at the beginning that are known to be of no typical length.
  std::vector<ProfiledStep> steps = {};
  std::vector<std::string> notes = {};  ///< What was assumed, for people.
};

/// The order in which each rank of `profile` ran its actions in its first step, as a schedule:
/// placement and pipes are told by which rank ran which stage and micro-batch. Throws Error where
/// that is no schedule.
Schedule recorded_schedule(const RunProfile& profile);

/// One step over a schedule.
struct MeasuredStep {
  std::string name = {};
  std::vector<Span> spans = {};  ///< [index in Schedule::actions]
  /// Last end − first start over all ranks or, without a common clock, the longest that any rank
  /// has from its own first start to its own last end.
  Time length{};
};

/// A run of one schedule.
struct MeasuredRun {
  std::string source = {};
  bool has_common_clock = false;
  int warm_ups = 0;  ///< As the profile has it.
  PostedProgram program = {};
  std::vector<MeasuredStep> steps = {};
};

/// Lays every step of `profile` over `program`. Throws Error, with step, rank and action, where a
/// step lacks an action of the program or has another one, has it twice or on another rank, or
/// where actions start in another order than the program's.
MeasuredRun lay_over(const RunProfile& profile, PostedProgram program);

/// As `MeasuredStep::length` has it; `spans` of actions, as in `schedule`.
Time step_length(const Schedule& schedule, const std::vector<Span>& spans, bool has_common_clock);

}  // namespace bubblescope

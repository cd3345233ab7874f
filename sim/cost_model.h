// How long an action takes, how long a message travels, how much memory a stage holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/op.h"
#include "sim/placement.h"
#include "sim/types.h"

namespace bubblescope {

/// What one stage costs, as a cost source tells it. Durations and bytes are never negative.
struct StageCost {
  Time forward{};
  Time input_grad{};
  Time weight_grad{};
  std::optional<Time> backward = {};    ///< Default: input_grad + weight_grad.
  std::optional<Time> overlapped = {};  ///< An F&B pair as one. Default: F, then B, nothing hidden.
  /// Communication inside the action that only a pair hides; F, and I or B, outside a pair pay it.
  Time exposed_forward{};
  Time exposed_input_grad{};
  std::optional<Bytes> activation = {};  ///< Born at F, gone after W or B.
  std::optional<Bytes> activation_after_input_grad =
      {};                             ///< Left between I and W. Default: all of it.
  std::optional<Bytes> weights = {};  ///< Parameters, gradients, optimizer state, buffers.
  Bytes message = 0;                  ///< What a stage sends: an activation, or its gradient.
};

/// A message takes latency + bytes / bandwidth.
struct Link {
  Time latency{};
  double bytes_per_second = 0;  ///< 0: unlimited.
};

/// Costs before they are laid over a schedule's stages: one StageCost for all stages, which stands
/// for one p-th of the model, or one for each stage of a pipe.
struct CostSource {
  std::string name = {};          ///< "deepseek-v3-h800", or "by hand".
  std::string file = {};          ///< Where it was read, for error messages; empty if by hand.
  std::string description = {};   ///< Where the numbers come from.
  std::optional<int> ranks = {};  ///< How many ranks the numbers were made for.
  std::optional<double> layers_per_stage = {};
  bool stage_by_stage = false;
  std::vector<StageCost> stages = {};  ///< One, or [depth] if `stage_by_stage`.
  Link link = {};
};

/// Whether a CostSource with one StageCost tells it for a p-th of the model, so that a schedule
/// with v chunks divides it by v, or for a stage of the schedule as it stands.
enum class CostPer : std::uint8_t { WholeRank, OneStage };

/// Where the duration of an F&B pair comes from.
enum class Overlap : std::uint8_t {
  Auto,   ///< `StageCost::overlapped` where it is given, else F, then B.
  Given,  ///< `StageCost::overlapped`; costs without it are an error.
  Sum,    ///< F, then B: nothing overlaps.
};

struct CostOptions {
  CostPer per = CostPer::WholeRank;
  Overlap overlap = Overlap::Auto;
};

/// Costs laid over the stages of a placement.
class CostModel {
 public:
  /// Throws Error where `source` has another number of stages than one pipe of `placement`, or
  /// lacks an overlapped time that `options` ask for.
  CostModel(const CostSource& source, const Placement& placement, CostOptions options);

  Time duration(const Op& op) const { return outside_pair_[op.stage_and_kind()]; }
  Time duration(const Action& action) const {
    return action.is_pair() ? pair_duration(action) : duration(action.op());
  }
  /// The part of `duration(action)` in which the rank communicates and does not compute: what an
  /// action outside a pair pays, or what a pair takes beyond the computation of its two ops.
  Time exposed_communication(const Action& action) const {
    return action.is_pair() ? pair_exposed(action) : exposed(action.op());
  }
  /// What the output of `producer`, the activation of an F or the gradient of an I or B, takes to
  /// another rank. The gradient is as large as the activation that the stage before sent.
  Time message_time(const Op& producer) const;
  Bytes message_bytes(const Op& producer) const;

  /// Whether the times of so many actions with their messages, and the sizes of all they hold, can
  /// be added up without overflow.
  bool can_add_up(std::size_t actions) const;

  /// Whether bytes of activations and weights are known for every stage; the two below need it.
  bool tells_sizes() const;
  /// Live bytes that `op` adds (F) or gives back (I, W, B: negative).
  Bytes activation_change(const Op& op) const;
  Bytes weight_bytes(Stage stage) const { return *cost(stage).weights; }

 private:
  const StageCost& cost(Stage stage) const { return costs_[static_cast<std::size_t>(stage)]; }
  Time exposed(const Op& op) const { return duration(op) - compute_[op.stage_and_kind()]; }
  Time pair_duration(const Action& pair) const;
  Time pair_exposed(const Action& pair) const;

  Link link_;
  Overlap overlap_;
  std::vector<StageCost> costs_;    // [stage]
  std::vector<Time> compute_;       // [stage_and_kind] computation alone
  std::vector<Time> outside_pair_;  // [stage_and_kind] with the communication that is exposed then
};

/// Costs of zero for every stage.
CostModel free_costs(const Placement& placement);

/// Throws Error where that is longer than a duration may be.
Time message_time(const Link& link, Bytes bytes);

/// `microseconds` in whole nanoseconds. Throws Error unless it is a number ≥ 0 that fits.
Time time_from_us(double microseconds);

}  // namespace bubblescope

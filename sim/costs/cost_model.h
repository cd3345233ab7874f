// How long an action takes, how long a message travels, how much memory a stage holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/types.h"
#include "sim/costs/network.h"
#include "sim/costs/phases.h"
#include "sim/costs/scale.h"
#include "sim/costs/stage_cost.h"
#include "sim/schedule/op.h"
#include "sim/schedule/placement.h"

namespace bubblescope {

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
  std::optional<Network> network = {};  ///< Instead of `link`: ranks on nodes.
};

/// Whether a CostSource with one StageCost tells it for a p-th of the model, so that a schedule
/// with v chunks divides it by v, or for a stage of the schedule as it stands.
enum class CostPer : std::uint8_t { WholeRank, OneStage };

/// Where the duration of an F&B pair comes from.
enum class Overlap : std::uint8_t {
  Auto,    ///< `StageCost::overlapped` where it is given, else from phases, else F, then B.
  Given,   ///< `StageCost::overlapped`; costs without it are an error.
  Phases,  ///< As the phases of both run beside one another; costs without them are an error.
  Sum,     ///< F, then B: nothing overlaps.
};

struct CostOptions {
  CostPer per = CostPer::WholeRank;
  Overlap overlap = Overlap::Auto;
  std::vector<CostScale> scales = {};  ///< One after the other, over what the source says.
};

/// The ranks of a schedule, and the stages of one of its pipes.
struct PipeShape {
  int ranks;
  int depth;
};

/// Why the costs cannot be laid over such a pipe: they are for another number of stages, or their
/// layers cannot be divided over a rank's chunks; none where they can.
std::optional<std::string> find_obstacle(const CostSource& source, PipeShape pipe,
                                         const CostOptions& options);

/// Costs laid over the stages of a placement.
class CostModel {
 public:
  /// Throws Error where `find_obstacle` finds one, the costs lack an overlapped time or phases that
  /// `options` ask for, or a message takes too long.
  CostModel(const CostSource& source, const Placement& placement, const CostOptions& options);

  Time duration(const Op& op) const { return outside_pair_[op.stage_and_kind()]; }
  Time duration(const Action& action) const {
    return action.is_pair() ? pair_duration(action) : duration(action.op());
  }
  /// The part of `duration(action)` in which the rank communicates and does not compute: what an
  /// action outside a pair pays, or what a pair takes beyond the computation of its two ops.
  Time exposed_communication(const Action& action) const {
    return action.is_pair() ? pair_exposed(action) : exposed(action.op());
  }
  /// What runs inside an action, as its phases tell it; nothing where they do not.
  PhaseRun phases(const Action& action) const;
  /// The most that any phase sends among experts, as far as phases tell it.
  Bytes most_sent_among_experts() const;
  /// What the output of `producer`, the activation of an F or the gradient of an I or B, takes to
  /// another rank where it has the links for itself. The gradient is as large as the activation
  /// that the stage before sent.
  Time message_time(const Op& producer) const;
  Bytes message_bytes(const Op& producer) const;

  /// Whether messages contend for links, so that they may take longer than `message_time`.
  bool shares_links() const { return network_ && network_->is_shared(); }
  /// Only where ranks are on nodes: the network, and the way of what `producer` sends.
  const Network& network() const { return *network_; }
  const Route& route(const Op& producer) const { return routes_[output_index(producer)]; }

  /// Whether the times of so many actions with their messages, and the sizes of all they hold, can
  /// be added up without overflow.
  bool can_add_up(std::size_t actions) const;

  /// Whether bytes of activations and weights are known for every stage; the two below need it.
  bool tells_sizes() const;
  /// Live bytes that `op` adds (F, and I where W needs more than F kept) or gives back (negative).
  Bytes activation_change(const Op& op) const;
  Bytes weight_bytes(Stage stage) const { return *cost(stage).weights; }

  /// Once a step, after a stage's last backward.
  /// Layers of a stage, as its phases tell them; 1 where they do not.
  std::int64_t layers(Stage stage) const;
  Time grad_reduce(Stage stage) const { return cost(stage).grad_reduce; }
  Time optimizer(Stage stage) const { return cost(stage).optimizer; }

 private:
  const StageCost& cost(Stage stage) const {
    return costs_[cost_of_stage_[static_cast<std::size_t>(stage)]];
  }
  Time exposed(const Op& op) const { return duration(op) - compute_[op.stage_and_kind()]; }
  static std::size_t output_index(const Op& producer) {
    return 2 * static_cast<std::size_t>(producer.stage()) +
           (producer.kind() == OpKind::Forward ? 0U : 1U);
  }
  void lay(const CostSource& source, const Placement& placement);
  void scale(const std::vector<CostScale>& scales, const Placement& placement,
             const std::string& place);
  void find_routes(const Placement& placement, const std::string& place);
  void check_messages(const Placement& placement, const std::string& place) const;
  Time pair_duration(const Action& pair) const;
  Time pair_exposed(const Action& pair) const;

  /// An F&B pair as its phases tell it.
  struct PhasePair {
    Time duration;
    Time exposed;
  };
  /// Which of the times of a pair are used.
  enum class PairTimes : std::uint8_t { Given, Phases, Sum };
  PairTimes times_of(const Action& pair) const;
  void run_pairs(const Placement& placement);
  const PhasePair& phase_pair(const Action& pair) const {
    return pairs_[pair_index(pair.op().stage(), pair.overlapped().stage())];
  }
  std::size_t pair_index(Stage forward, Stage backward) const {
    return static_cast<std::size_t>(forward) * stages_of_rank_ +
           number_on_rank_[static_cast<std::size_t>(backward)];
  }

  Link link_;
  std::optional<Network> network_;
  std::vector<Route> routes_;  // [output_index] where there is a network
  Overlap overlap_;
  std::vector<StageCost> costs_;                    // those that differ
  std::vector<std::uint32_t> cost_of_stage_ = {};   // [stage]
  std::vector<std::uint32_t> number_on_rank_ = {};  // [stage] among the stages of its rank
  std::size_t stages_of_rank_ = 0;
  std::vector<Time> compute_ = {};       // [stage_and_kind] computation alone
  std::vector<Time> outside_pair_ = {};  // [stage_and_kind] with communication that is exposed then
  std::vector<PhasePair> pairs_ = {};  // [F's stage][B's number on its rank] where phases tell them
};

/// Costs of zero for every stage.
CostModel free_costs(const Placement& placement);

/// Throws Error where that is longer than a duration may be.
Time message_time(const Link& link, Bytes bytes);

/// `microseconds` in whole nanoseconds. Throws Error unless it is a number ≥ 0 that fits.
Time time_from_us(double microseconds);
double to_us(Time time);

}  // namespace bubblescope

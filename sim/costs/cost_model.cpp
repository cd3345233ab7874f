#include "sim/costs/cost_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

std::int64_t divide_rounded(std::int64_t value, int divisor) {
  return (value + divisor / 2) / divisor;
}

Time divide_rounded(Time value, int divisor) {
  return Time(divide_rounded(value.count(), divisor));
}

template <typename T>
std::optional<T> divide_rounded(std::optional<T> value, int divisor) {
  return value ? std::optional<T>(divide_rounded(*value, divisor)) : std::nullopt;
}

/// The layers of one of `chunks` equal parts.
LayerPhases divide(const LayerPhases& whole, int chunks, int part) {
  LayerPhases result = whole;
  const auto size = static_cast<std::ptrdiff_t>(whole.times.size()) / chunks;
  const auto first = whole.times.begin() + size * part;
  result.times.assign(first, first + size);
  return result;
}

/// A p-th of the model in equal parts. What a message carries does not shrink.
std::vector<StageCost> divide(const StageCost& whole, int chunks) {
  StageCost part = whole;
  part.forward = divide_rounded(whole.forward, chunks);
  part.input_grad = divide_rounded(whole.input_grad, chunks);
  part.weight_grad = divide_rounded(whole.weight_grad, chunks);
  part.backward = divide_rounded(whole.backward, chunks);
  part.overlapped = divide_rounded(whole.overlapped, chunks);
  part.exposed_forward = divide_rounded(whole.exposed_forward, chunks);
  part.exposed_input_grad = divide_rounded(whole.exposed_input_grad, chunks);
  part.activation = divide_rounded(whole.activation, chunks);
  part.activation_after_input_grad = divide_rounded(whole.activation_after_input_grad, chunks);
  part.weights = divide_rounded(whole.weights, chunks);
  part.grad_reduce = divide_rounded(whole.grad_reduce, chunks);
  part.optimizer = divide_rounded(whole.optimizer, chunks);
  std::vector<StageCost> parts(static_cast<std::size_t>(chunks), part);
  for (int i = 0; i < chunks; ++i)
    parts[static_cast<std::size_t>(i)].phases = divide(whole.phases, chunks, i);
  return parts;
}

bool is_divided(const CostSource& source, const CostOptions& options) {
  return !source.stage_by_stage && options.per == CostPer::WholeRank;
}

/// Whether the times of a stage's ops, or of pairs of it, are those of its phases.
bool needs_phases(const StageCost& stage, Overlap overlap) {
  return stage.timed_by_phases || overlap == Overlap::Phases ||
         (overlap == Overlap::Auto && !stage.overlapped && !stage.phases.empty());
}

/// The times of a stage's ops outside a pair, by kind.
struct OpTimes {
  std::array<Time, kOpKinds> compute;
  std::array<Time, kOpKinds> whole;  // with the communication that is exposed then
};

OpTimes op_times(const StageCost& cost) {
  OpTimes times;
  if (cost.timed_by_phases) {
    for (std::uint32_t kind = 0; kind < kOpKinds; ++kind) {
      const PhaseRun run = run_phases(cost.phases, static_cast<OpKind>(kind));
      times.compute[kind] = run.length - run.exposed();
      times.whole[kind] = run.length;
    }
    return times;
  }
  const Time backward = cost.backward.value_or(cost.input_grad + cost.weight_grad);
  times.compute = {cost.forward, cost.input_grad, cost.weight_grad, backward};
  times.whole = {cost.forward + cost.exposed_forward, cost.input_grad + cost.exposed_input_grad,
                 cost.weight_grad, backward + cost.exposed_input_grad};
  return times;
}

}  // namespace

Time time_from_us(double microseconds) {
  constexpr double kLargest = 1e12;  // eleven days
  if (!(microseconds >= 0 && microseconds <= kLargest))
    throw Error(fmt::format("{} µs is not a duration from 0 to {:g} µs", microseconds, kLargest));
  return Time(std::llround(microseconds * 1e3));
}

std::optional<std::string> find_obstacle(const CostSource& source, PipeShape pipe,
                                         const CostOptions& options) {
  const auto told = static_cast<int>(source.stages.size());
  if (source.stage_by_stage && told != pipe.depth)
    return fmt::format("the costs are for {} stages, and its pipe has {}", told, pipe.depth);
  for (const CostScale& scale : options.scales)
    if (scale.is_of_place() &&
        scale.number >= (scale.what == CostScale::What::Stage ? pipe.depth : pipe.ranks))
      return fmt::format("it has nothing that {} could scale", to_string(scale));
  const int chunks = is_divided(source, options) ? pipe.depth / pipe.ranks : 1;
  for (const StageCost& stage : source.stages) {
    const std::size_t layers = stage.phases.layers();
    if (needs_phases(stage, options.overlap) && layers % static_cast<std::size_t>(chunks) != 0)
      return fmt::format("the {} layers of a rank cannot be divided over {} chunks", layers,
                         chunks);
  }
  return std::nullopt;
}

CostModel::CostModel(const CostSource& source, const Placement& placement,
                     const CostOptions& options)
    : link_(source.link), network_(source.network), overlap_(options.overlap) {
  const std::string& place = source.file.empty() ? source.name : source.file;
  if (const auto obstacle = find_obstacle(source, {placement.ranks, placement.depth}, options))
    throw Error(fmt::format("{}: {}", place, *obstacle));
  for (const StageCost& stage : source.stages) {
    if (overlap_ == Overlap::Given && !stage.overlapped)
      throw Error(fmt::format("{}: the costs give no time for an overlapped F&B pair", place));
    if (overlap_ == Overlap::Phases && stage.phases.empty())
      throw Error(fmt::format("{}: the costs give no phases to make an F&B pair of", place));
  }
  costs_ = is_divided(source, options) ? divide(source.stages.front(), placement.chunks())
                                       : source.stages;
  lay(source, placement);
  scale(options.scales, placement, place);
  std::vector<OpTimes> times;
  for (const StageCost& cost : costs_)
    times.push_back(op_times(cost));
  for (const std::uint32_t which : cost_of_stage_) {
    const OpTimes& each = times[which];
    compute_.insert(compute_.end(), each.compute.begin(), each.compute.end());
    outside_pair_.insert(outside_pair_.end(), each.whole.begin(), each.whole.end());
  }
  if (network_)
    find_routes(placement, place);
  check_messages(placement, place);
  if (std::any_of(costs_.begin(), costs_.end(),
                  [&](const StageCost& cost) { return needs_phases(cost, overlap_); }))
    run_pairs(placement);
}

/// Says for each stage which of the costs are its own.
void CostModel::lay(const CostSource& source, const Placement& placement) {
  const auto count = static_cast<std::uint32_t>(costs_.size());
  std::vector<std::uint32_t> stages_on(static_cast<std::size_t>(placement.ranks));
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const std::uint32_t number = stages_on[static_cast<std::size_t>(placement.rank(stage))]++;
    const auto position = static_cast<std::uint32_t>(stage % placement.depth);
    number_on_rank_.push_back(number);
    cost_of_stage_.push_back((source.stage_by_stage ? position : number) % count);
  }
}

/// Where a stage or a rank is scaled by itself, each stage gets costs of its own.
void CostModel::scale(const std::vector<CostScale>& scales, const Placement& placement,
                      const std::string& place) {
  if (std::any_of(scales.begin(), scales.end(),
                  [](const CostScale& each) { return each.is_of_place(); })) {
    std::vector<StageCost> own;
    for (std::uint32_t& which : cost_of_stage_) {
      own.push_back(costs_[which]);
      which = static_cast<std::uint32_t>(own.size() - 1);
    }
    costs_ = std::move(own);
  }
  const bool is_own = costs_.size() == cost_of_stage_.size();
  for (const CostScale& each : scales) {
    bool any = scale_links(each, link_, network_);
    for (std::size_t i = 0; i < costs_.size(); ++i) {
      const auto stage = static_cast<Stage>(i);
      any |=
          scale_stage(each, costs_[i], stage % placement.depth, is_own ? placement.rank(stage) : 0);
    }
    if (any)
      continue;
    std::string known;
    for (const Phase& phase : costs_.front().phases.phases)
      known += (known.empty() ? "\n  phases: " : ", ") + phase.name;
    throw Error(fmt::format("{}: there is nothing that {} could scale{}", place, to_string(each),
                            each.what == CostScale::What::Phase ? known : ""));
  }
}

void CostModel::run_pairs(const Placement& placement) {
  stages_of_rank_ =
      static_cast<std::size_t>(placement.pipes) * static_cast<std::size_t>(placement.chunks());
  pairs_.resize(cost_of_stage_.size() * stages_of_rank_);
  std::vector<std::vector<Stage>> stages_on(static_cast<std::size_t>(placement.ranks));
  for (Stage stage = 0; stage < placement.stages(); ++stage)
    stages_on[static_cast<std::size_t>(placement.rank(stage))].push_back(stage);
  std::map<std::pair<std::uint32_t, std::uint32_t>, PhasePair> known;
  for (const std::vector<Stage>& stages : stages_on)
    for (const Stage forward : stages)
      for (const Stage backward : stages) {
        if (cost(forward).phases.empty() || cost(backward).phases.empty())
          continue;
        const std::pair key(cost_of_stage_[static_cast<std::size_t>(forward)],
                            cost_of_stage_[static_cast<std::size_t>(backward)]);
        auto found = known.find(key);
        if (found == known.end()) {
          const PhaseRun run = run_pair(cost(forward).phases, cost(backward).phases);
          found = known.emplace(key, PhasePair{run.length, run.exposed()}).first;
        }
        pairs_[pair_index(forward, backward)] = found->second;
      }
}

CostModel::PairTimes CostModel::times_of(const Action& pair) const {
  const StageCost& forward = cost(pair.op().stage());
  const StageCost& backward = cost(pair.overlapped().stage());
  if (overlap_ == Overlap::Sum)
    return PairTimes::Sum;
  if (overlap_ != Overlap::Phases && forward.overlapped && backward.overlapped)
    return PairTimes::Given;
  return forward.phases.empty() || backward.phases.empty() ? PairTimes::Sum : PairTimes::Phases;
}

void CostModel::find_routes(const Placement& placement, const std::string& place) {
  if (const auto fault = find_network_fault(*network_, placement.ranks))
    throw Error(fmt::format("{}: /network/node_of_rank: {}", place, *fault));
  for (Stage stage = 0; stage < placement.stages(); ++stage)
    for (const OpKind kind : {OpKind::Forward, OpKind::BackwardInput}) {
      const Stage reader = reader_of_output(placement, Op(kind, stage, 0)).value_or(stage);
      routes_.push_back(network_->route(placement.rank(stage), placement.rank(reader)));
    }
}

void CostModel::check_messages(const Placement& placement, const std::string& place) const {
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    try {
      message_time(Op(OpKind::Forward, stage, 0));
    } catch (const Error& error) {
      throw Error(fmt::format("{}: stage {}: message_bytes at bandwidth_GBps: {}", place,
                              stage % placement.depth, error.what()));
    }
  }
}

Time CostModel::pair_duration(const Action& pair) const {
  switch (times_of(pair)) {
    case PairTimes::Given:
      // Costs tell one time a stage; a pair of two stages is taken to last their mean.
      return divide_rounded(
          *cost(pair.op().stage()).overlapped + *cost(pair.overlapped().stage()).overlapped, 2);
    case PairTimes::Phases:
      return phase_pair(pair).duration;
    case PairTimes::Sum:
      break;
  }
  return duration(pair.op()) + duration(pair.overlapped());
}

Time CostModel::pair_exposed(const Action& pair) const {
  if (times_of(pair) == PairTimes::Phases)
    return phase_pair(pair).exposed;
  const Time computing =
      compute_[pair.op().stage_and_kind()] + compute_[pair.overlapped().stage_and_kind()];
  return std::clamp(pair_duration(pair) - computing, Time::zero(),
                    exposed(pair.op()) + exposed(pair.overlapped()));
}

PhaseRun CostModel::phases(const Action& action) const {
  const LayerPhases& own = cost(action.op().stage()).phases;
  if (action.is_pair())
    return times_of(action) == PairTimes::Phases
               ? run_pair(own, cost(action.overlapped().stage()).phases)
               : PhaseRun{};
  return own.empty() ? PhaseRun{} : run_phases(own, action.op().kind());
}

Bytes CostModel::most_sent_among_experts() const {
  Bytes most = 0;
  for (const StageCost& stage : costs_)
    for (const Phase& phase : stage.phases.phases)
      most = std::max(most, phase.sent);
  return most;
}

Bytes CostModel::message_bytes(const Op& producer) const {
  return producer.kind() == OpKind::Forward ? cost(producer.stage()).message
                                            : cost(producer.stage() - 1).message;
}

std::int64_t CostModel::layers(Stage stage) const {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(cost(stage).phases.layers()));
}

Time CostModel::message_time(const Op& producer) const {
  return bubblescope::message_time(network_ ? route(producer).alone : link_,
                                   message_bytes(producer));
}

bool CostModel::can_add_up(std::size_t actions) const {
  constexpr double kMost = 4e18;  // half of what an int64 holds
  double longest = 0;             // of what one stage takes, once each
  double largest = 0;             // of what one stage holds
  double weights = 0;
  for (Stage stage = 0; stage < static_cast<Stage>(cost_of_stage_.size()); ++stage) {
    const StageCost& each = cost(stage);
    Time sum = each.overlapped.value_or(Time::zero()) + message_time(Op(OpKind::Forward, stage, 0));
    for (std::uint32_t kind = 0; kind < kOpKinds; ++kind)
      sum += duration(Op(static_cast<OpKind>(kind), stage, 0));
    longest = std::max(longest, static_cast<double>(sum.count()));
    largest = std::max({largest, static_cast<double>(each.activation.value_or(0)),
                        static_cast<double>(each.activation_after_input_grad.value_or(0))});
    if (shares_links())  // the bytes that they carry are added up
      largest = std::max(largest, static_cast<double>(each.message));
    weights += static_cast<double>(each.weights.value_or(0));
    longest = std::max(longest, static_cast<double>((each.grad_reduce + each.optimizer).count()));
  }
  for (const PhasePair& pair : pairs_)
    longest = std::max(longest, static_cast<double>(pair.duration.count()));
  const auto count = 2 * static_cast<double>(actions);  // a pair is of two stages
  return longest * count <= kMost && largest * count + weights <= kMost;
}

bool CostModel::tells_sizes() const {
  return std::all_of(costs_.begin(), costs_.end(), [](const StageCost& stage) {
    return stage.activation.has_value() && stage.weights.has_value();
  });
}

Bytes CostModel::activation_change(const Op& op) const {
  const StageCost& stage = cost(op.stage());
  const Bytes whole = *stage.activation;
  const Bytes rest = stage.activation_after_input_grad.value_or(whole);
  const Bytes change[] = {whole, rest - whole, -rest, -whole};
  return change[static_cast<std::size_t>(op.kind())];
}

Time message_time(const Link& link, Bytes bytes) {
  if (link.bytes_per_second <= 0)
    return link.latency;
  return link.latency + time_from_us(static_cast<double>(bytes) / link.bytes_per_second * 1e6);
}

double to_us(Time time) {
  constexpr double kNanoseconds = 1e3;
  return static_cast<double>(time.count()) / kNanoseconds;
}

CostModel free_costs(const Placement& placement) {
  const CostSource nothing{.name = "free", .stages = {StageCost{}}};
  return CostModel(nothing, placement, {});
}

}  // namespace bubblescope

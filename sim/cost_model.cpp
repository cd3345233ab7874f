#include "sim/cost_model.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "sim/error.h"

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

/// One of `chunks` equal parts of a p-th of the model. What a message carries does not shrink.
StageCost divide(const StageCost& whole, int chunks) {
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
  return part;
}

}  // namespace

Time time_from_us(double microseconds) {
  constexpr double kLargest = 1e12;  // eleven days
  if (!(microseconds >= 0 && microseconds <= kLargest))
    throw Error(fmt::format("{} µs is not a duration from 0 to {:g} µs", microseconds, kLargest));
  return Time(std::llround(microseconds * 1e3));
}

CostModel::CostModel(const CostSource& source, const Placement& placement, CostOptions options)
    : link_(source.link), overlap_(options.overlap) {
  const std::string& place = source.file.empty() ? source.name : source.file;
  if (source.stage_by_stage && source.stages.size() != static_cast<std::size_t>(placement.depth))
    throw Error(fmt::format("{}: costs are given for {} stages, but a pipe of this schedule has {}",
                            place, source.stages.size(), placement.depth));
  const bool divided = !source.stage_by_stage && options.per == CostPer::WholeRank;
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const auto position = static_cast<std::size_t>(stage % placement.depth);
    const StageCost& given = source.stages[source.stage_by_stage ? position : 0];
    if (options.overlap == Overlap::Given && !given.overlapped)
      throw Error(fmt::format("{}: the costs give no time for an overlapped F&B pair", place));
    try {
      bubblescope::message_time(link_, given.message);
    } catch (const Error& error) {
      throw Error(fmt::format("{}: stage {}: message_bytes at bandwidth_GBps: {}", place, stage,
                              error.what()));
    }
    const StageCost cost = divided ? divide(given, placement.chunks()) : given;
    const Time backward = cost.backward.value_or(cost.input_grad + cost.weight_grad);
    costs_.push_back(cost);
    compute_.insert(compute_.end(), {cost.forward, cost.input_grad, cost.weight_grad, backward});
    outside_pair_.insert(
        outside_pair_.end(),
        {cost.forward + cost.exposed_forward, cost.input_grad + cost.exposed_input_grad,
         cost.weight_grad, backward + cost.exposed_input_grad});
  }
}

Time CostModel::pair_duration(const Action& pair) const {
  const auto& forward_stage = cost(pair.op().stage()).overlapped;
  const auto& backward_stage = cost(pair.overlapped().stage()).overlapped;
  if (overlap_ == Overlap::Sum || !forward_stage || !backward_stage)
    return duration(pair.op()) + duration(pair.overlapped());
  // Costs tell one time a stage; a pair of two stages is taken to last their mean.
  return divide_rounded(*forward_stage + *backward_stage, 2);
}

Time CostModel::pair_exposed(const Action& pair) const {
  const Time computing =
      compute_[pair.op().stage_and_kind()] + compute_[pair.overlapped().stage_and_kind()];
  return std::clamp(pair_duration(pair) - computing, Time::zero(),
                    exposed(pair.op()) + exposed(pair.overlapped()));
}

Bytes CostModel::message_bytes(const Op& producer) const {
  return producer.kind() == OpKind::Forward ? cost(producer.stage()).message
                                            : cost(producer.stage() - 1).message;
}

Time CostModel::message_time(const Op& producer) const {
  return bubblescope::message_time(link_, message_bytes(producer));
}

bool CostModel::can_add_up(std::size_t actions) const {
  constexpr double kMost = 4e18;  // half of what an int64 holds
  double longest = 0;             // of what one stage takes, once each
  double largest = 0;             // of what one stage holds
  double weights = 0;
  for (Stage stage = 0; stage < static_cast<Stage>(costs_.size()); ++stage) {
    const StageCost& each = cost(stage);
    Time sum = each.overlapped.value_or(Time::zero()) + message_time(Op(OpKind::Forward, stage, 0));
    for (std::uint32_t kind = 0; kind < kOpKinds; ++kind)
      sum += duration(Op(static_cast<OpKind>(kind), stage, 0));
    longest = std::max(longest, static_cast<double>(sum.count()));
    largest = std::max(largest, static_cast<double>(each.activation.value_or(0)));
    weights += static_cast<double>(each.weights.value_or(0));
  }
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

CostModel free_costs(const Placement& placement) {
  const CostSource nothing{.name = "free", .stages = {StageCost{}}};
  return CostModel(nothing, placement, {});
}

}  // namespace bubblescope

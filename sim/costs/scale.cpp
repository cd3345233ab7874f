#include "sim/costs/scale.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"

namespace bubblescope {
namespace {

using What = CostScale::What;

constexpr double kMostFactor = 1000;

constexpr std::pair<std::string_view, What> kNames[] = {
    {"forward", What::Forward},        {"input-grad", What::InputGrad},
    {"weight-grad", What::WeightGrad}, {"backward", What::Backward},
    {"overlapped", What::Overlapped},  {"p2p", What::P2p},
    {"bandwidth", What::Bandwidth},    {"message", What::Message},
    {"nvlink", What::Nvlink},          {"nic", What::Nic},
    {"stage:N", What::Stage},          {"rank:N", What::Rank},
    {"phase:NAME", What::Phase}};

template <typename T>
std::optional<T> read_number(std::string_view text) {
  T number{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && rest == text.data() + text.size() ? std::optional(number)
                                                                   : std::nullopt;
}

/// Whether `name` is `pattern`, in which each * stands for any letters.
bool matches(std::string_view name, std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  if (star == pattern.npos)
    return name == pattern;
  if (!name.starts_with(pattern.substr(0, star)))
    return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t begin = star; begin <= name.size(); ++begin)
    if (matches(name.substr(begin), rest))
      return true;
  return false;
}

/// Throws Error where that is longer than a duration may be.
void multiply(Time& time, double factor) {
  constexpr double kLongest = 1e15;  // eleven days
  const double product = static_cast<double>(time.count()) * factor;
  if (product > kLongest)
    throw Error(fmt::format("a duration of {:g} ns is too long", product));
  time = Time(std::llround(product));
}

Bytes multiplied(Bytes bytes, double factor) {
  constexpr double kMostBytes = 9e18;
  const double product = static_cast<double>(bytes) * factor;
  if (product > kMostBytes)
    throw Error(fmt::format("a message of {:g} bytes is too large", product));
  return std::llround(product);
}

void multiply(std::optional<Time>& time, double factor) {
  if (time)
    multiply(*time, factor);
}

/// Phases that `is_meant` chooses; whether there are some.
template <typename IsMeant>
bool multiply_phases(LayerPhases& phases, double factor, IsMeant is_meant) {
  bool any = false;
  for (std::size_t i = 0; i < phases.times.size(); ++i)
    if (is_meant(phases.phases[i % phases.phases.size()])) {
      multiply(phases.times[i].elapsed, factor);
      multiply(phases.times[i].busy, factor);
      any = true;
    }
  return any;
}

/// Adds up the phases of one kind of op, those that compute or those that communicate.
double sum(const LayerPhases& phases, OpKind kind, bool computes) {
  double total = 0;
  for (std::size_t i = 0; i < phases.times.size(); ++i) {
    const Phase& phase = phases.phases[i % phases.phases.size()];
    if (phase.of == kind && (phase.stream == PhaseStream::Compute) == computes)
      total += static_cast<double>(phases.times[i].elapsed.count());
  }
  return total;
}

void multiply_all(StageCost& stage, double factor) {
  for (Time* time : {&stage.forward, &stage.input_grad, &stage.weight_grad, &stage.exposed_forward,
                     &stage.exposed_input_grad})
    multiply(*time, factor);
  multiply(stage.backward, factor);
  multiply(stage.overlapped, factor);
  multiply_phases(stage.phases, factor, [](const Phase&) { return true; });
}

/// The backward in one of its parts: the other keeps its time.
void multiply_part(StageCost& stage, Time StageCost::*part, double factor) {
  const Time before = stage.*part;
  multiply(stage.*part, factor);
  if (stage.backward)
    *stage.backward = std::max(*stage.backward + stage.*part - before, Time::zero());
}

/// Where the costs give times of ops beside phases, an op's computation and what it exposes of its
/// communication outside a pair change as the sums of its phases do.
bool scale_phases(const CostScale& scale, StageCost& stage) {
  const LayerPhases before = stage.phases;
  const bool any = multiply_phases(stage.phases, scale.factor, [&](const Phase& phase) {
    return matches(phase.name, scale.phase);
  });
  if (!any || stage.timed_by_phases)
    return any;
  const auto ratio = [&](OpKind kind, bool computes) {
    const double was = sum(before, kind, computes);
    return was > 0 ? sum(stage.phases, kind, computes) / was : 1;
  };
  multiply_part(stage, &StageCost::input_grad, ratio(OpKind::BackwardInput, true));
  multiply_part(stage, &StageCost::weight_grad, ratio(OpKind::BackwardWeight, true));
  multiply(stage.forward, ratio(OpKind::Forward, true));
  multiply(stage.exposed_forward, ratio(OpKind::Forward, false));
  multiply(stage.exposed_input_grad, ratio(OpKind::BackwardInput, false));
  return true;
}

}  // namespace

CostScale parse_scale(std::string_view text) {
  const std::size_t equals = text.find('=');
  const auto factor =
      equals == text.npos ? std::nullopt : read_number<double>(text.substr(equals + 1));
  if (!factor || !(*factor > 0 && *factor <= kMostFactor))
    throw Error(
        fmt::format("expected WHAT=FACTOR with a factor above 0, at most {:g}, such as "
                    "forward=0.9, got '{}'",
                    kMostFactor, text.substr(0, 40)));
  const std::string_view name = text.substr(0, equals);
  const std::size_t colon = name.find(':');
  std::vector<std::string> known;
  for (const auto& [each, what] : kNames) {
    const std::size_t end = each.find(':');
    if (each.substr(0, end) != name.substr(0, colon) ||
        (end == each.npos) != (colon == name.npos)) {
      known.emplace_back(each);
      continue;
    }
    CostScale scale{.what = what, .factor = *factor};
    if (what == What::Phase)
      scale.phase = name.substr(colon + 1);
    if (scale.is_of_place()) {
      const auto number = read_number<int>(name.substr(colon + 1));
      if (!number || *number < 0)
        throw Error(fmt::format("expected a number in '{}'", name.substr(0, 40)));
      scale.number = *number;
    }
    return scale;
  }
  throw Error(fmt::format("there is no cost '{}'{}\n  costs: {}", name.substr(0, 40),
                          did_you_mean(name, known), fmt::join(known, ", ")));
}

std::string to_string(const CostScale& scale) {
  const std::string_view name = kNames[static_cast<std::size_t>(scale.what)].first;
  const std::string what =
      scale.is_of_place() || scale.what == What::Phase
          ? fmt::format("{}{}", name.substr(0, name.find(':') + 1),
                        scale.what == What::Phase ? scale.phase : std::to_string(scale.number))
          : std::string(name);
  return fmt::format("{}={}", what, scale.factor);
}

bool scale_links(const CostScale& scale, Link& link, std::optional<Network>& network) {
  std::vector<Link*> messages = {&link};
  if (network)
    messages = {&network->intra_node.message, &network->inter_node.message};
  bool any = false;
  const auto multiply_rate = [&](double& rate) {
    any = any || rate > 0;
    rate *= scale.factor;
  };
  for (Link* each : messages) {
    if (scale.what == What::P2p) {
      any = any || each->latency > Time::zero();
      multiply(each->latency, scale.factor);
    }
    if (scale.what == What::Bandwidth)
      multiply_rate(each->bytes_per_second);
  }
  if (network && scale.what == What::Nvlink)
    multiply_rate(network->intra_node.shared_bytes_per_second);
  if (network && scale.what == What::Nic)
    multiply_rate(network->inter_node.shared_bytes_per_second);
  return any;
}

bool scale_stage(const CostScale& scale, StageCost& stage, Stage position, Rank rank) {
  const auto of_kind = [&](OpKind kind) {
    multiply_phases(stage.phases, scale.factor,
                    [&](const Phase& phase) { return phase.of == kind; });
  };
  switch (scale.what) {
    case What::Forward:
      multiply(stage.forward, scale.factor);
      multiply(stage.exposed_forward, scale.factor);
      of_kind(OpKind::Forward);
      return true;
    case What::InputGrad:
      multiply_part(stage, &StageCost::input_grad, scale.factor);
      multiply(stage.exposed_input_grad, scale.factor);
      of_kind(OpKind::BackwardInput);
      return true;
    case What::WeightGrad:
      multiply_part(stage, &StageCost::weight_grad, scale.factor);
      of_kind(OpKind::BackwardWeight);
      return true;
    case What::Backward:
      for (Time* time : {&stage.input_grad, &stage.weight_grad, &stage.exposed_input_grad})
        multiply(*time, scale.factor);
      multiply(stage.backward, scale.factor);
      of_kind(OpKind::BackwardInput);
      of_kind(OpKind::BackwardWeight);
      return true;
    case What::Overlapped:
      multiply(stage.overlapped, scale.factor);
      return stage.overlapped.has_value();
    case What::Message:
      stage.message = multiplied(stage.message, scale.factor);
      return stage.message > 0;
    case What::Stage:
    case What::Rank:
      if (scale.number != (scale.what == What::Stage ? position : rank))
        return false;
      multiply_all(stage, scale.factor);
      return true;
    case What::Phase:
      return scale_phases(scale, stage);
    default:
      return false;  // of links
  }
}

}  // namespace bubblescope

#include "tools/options/vary_options.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "sim/base/nearest.h"
#include "tools/errors.h"
#include "tools/options/units.h"

namespace bubblescope {

struct Variable {
  std::string_view name;
  AxisKind kind;
  /// All but `kind` Count have it. The first of the stages stands for all.
  void (*set)(CostSource& source, std::int64_t value) = nullptr;
  bool is_of_stage = true;  ///< Else of the links.
};

namespace {

template <auto Member>
void set_stage(CostSource& source, std::int64_t value) {
  source.stages[0].*Member = Time(value);
}

constexpr Variable kVariables[] = {
    {"p2p", AxisKind::Duration,
     [](CostSource& source, std::int64_t value) { source.link.latency = Time(value); }, false},
    {"bandwidth", AxisKind::Rate,
     [](CostSource& source, std::int64_t value) {
       source.link.bytes_per_second = static_cast<double>(value);
     },
     false},
    {"message", AxisKind::Size,
     [](CostSource& source, std::int64_t value) { source.stages[0].message = value; }},
    {"forward", AxisKind::Duration, set_stage<&StageCost::forward>},
    {"input-grad", AxisKind::Duration, set_stage<&StageCost::input_grad>},
    {"weight-grad", AxisKind::Duration, set_stage<&StageCost::weight_grad>},
    {"backward", AxisKind::Duration, set_stage<&StageCost::backward>},
    {"overlapped", AxisKind::Duration, set_stage<&StageCost::overlapped>},
    {"microbatches", AxisKind::Count},
    {"m", AxisKind::Count},
};

constexpr std::size_t kDefaultPoints = 25;
constexpr std::size_t kMostPoints = 1000;

const Variable& variable_named(std::string_view name) {
  std::vector<std::string> names;
  for (const Variable& each : kVariables) {
    if (each.name == name)
      return each;
    names.emplace_back(each.name);
  }
  throw UsageError(fmt::format("there is no cost '{}'{}\n  costs: {}", name.substr(0, 40),
                               did_you_mean(name, names), fmt::join(names, ", ")));
}

std::int64_t read_value(const Variable& variable, const std::string& word) {
  constexpr double kLargestRate = 9e18;
  constexpr std::int64_t kMostMicrobatches = 1'000'000;
  switch (variable.kind) {
    case AxisKind::Duration:
      return read_time(word).count();
    case AxisKind::Size:
      return read_size(word);
    case AxisKind::Rate:
      return std::llround(std::clamp(read_rate(word), 1.0, kLargestRate));
    case AxisKind::Count:
      break;
  }
  return read_count(word, 1, kMostMicrobatches);
}

std::vector<std::string> parts_of(std::string_view text) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == ':')
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

struct Ends {
  std::int64_t from;
  std::int64_t to;
};

/// So many values, evenly spaced, as whole numbers; those that are the same once.
std::vector<std::int64_t> spaced(Ends ends, std::size_t points, bool logarithmic) {
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < points; ++i) {
    const double part = static_cast<double>(i) / static_cast<double>(points - 1);
    const auto from = static_cast<double>(ends.from);
    const double ratio = logarithmic ? std::pow(static_cast<double>(ends.to) / from, part) : 1;
    const std::int64_t value =
        i + 1 == points ? ends.to
        : logarithmic   ? std::llround(from * ratio)
                        : ends.from + std::llround(static_cast<double>(ends.to - ends.from) * part);
    if (values.empty() || value > values.back())
      values.push_back(value);
  }
  return values;
}

/// Steps of as many micro-batches as there are ranks, which most schedules can have, or of a
/// multiple that makes no more than `points`.
std::vector<std::int64_t> stepped(Ends ends, std::int64_t ranks, std::size_t points) {
  const auto most = static_cast<std::int64_t>(points) - 1;
  const std::int64_t multiples = (ends.to - ends.from + ranks * most - 1) / (ranks * most);
  const std::int64_t step = ranks * std::max<std::int64_t>(1, multiples);
  std::vector<std::int64_t> values;
  for (std::int64_t value = ends.from; value < ends.to; value += step)
    values.push_back(value);
  values.push_back(ends.to);
  return values;
}

/// What stands after the '='. Throws UsageError without the variable's name.
VariedAxis read_ends(const Variable& variable, const std::vector<std::string>& parts) {
  VariedAxis varied = {.variable = &variable,
                       .axis = {.name = std::string(variable.name), .kind = variable.kind},
                       .from = read_value(variable, parts[0]),
                       .to = read_value(variable, parts[1])};
  if (varied.axis.name == "m")
    varied.axis.name = "microbatches";
  if (varied.from >= varied.to)
    throw UsageError(fmt::format("'{}' is not less than '{}'", parts[0], parts[1]));
  const std::string& scale = parts.back();
  bool& is_logarithmic = varied.axis.is_logarithmic;
  const bool has_scale = parts.size() > 2 && (scale == "log" || scale == "linear");
  if (parts.size() == 4 || has_scale)
    is_logarithmic = one_of<bool>({{"log", true}, {"linear", false}})(scale);
  if (is_logarithmic && varied.from == 0)
    throw UsageError("a log scale cannot begin at 0");
  const Ends ends = {varied.from, varied.to};
  if (parts.size() - (has_scale ? 1 : 0) == 3)
    varied.axis.values =
        spaced(ends, count_from<std::size_t>(2, kMostPoints)(parts[2]), is_logarithmic);
  else if (variable.kind != AxisKind::Count || is_logarithmic)
    varied.axis.values = spaced(ends, kDefaultPoints, is_logarithmic);
  return varied;
}

VariedAxis read_axis(const std::string& word) {
  const std::size_t equals = word.find('=');
  const Variable& variable = variable_named(std::string_view(word).substr(0, equals));
  const auto parts = parts_of(equals == word.npos ? "" : word.substr(equals + 1));
  if (parts.size() < 2 || parts.size() > 4)
    refuse_word("NAME=FROM:TO, NAME=FROM:TO:POINTS or NAME=FROM:TO:POINTS:log, such as p2p=0:1ms",
                word);
  try {
    return read_ends(variable, parts);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", variable.name, error.what()));
  }
}

}  // namespace

void VaryOptions::add_to(CLI::App& app) {
  const char* group = "Sweep";
  declare_list(app,
               {"--vary", "NAME=FROM:TO",
                "which schedule wins where: a cost from one value to another, such as p2p=0:1ms, "
                "with so many points (p2p=0:1ms:25), evenly or :log; given twice, a map. Costs: "
                "p2p, bandwidth, message, forward, input-grad, weight-grad, backward, overlapped, "
                "microbatches",
                group},
               [this](const std::string& word) { axes.push_back(read_axis(word)); });
  add_option(
      app, {"--svg", "FILE", "with --vary: a picture, lines for one cost, a map for two", "Output"},
      svg);
}

std::vector<VariedAxis> VaryOptions::axes_of(const ShapeOptions& shape) const {
  if (axes.size() > 2)
    throw wrong_option("--vary", fmt::format("one cost or two, got {}", axes.size()));
  std::vector<VariedAxis> all = axes;
  std::size_t points = 1;
  for (VariedAxis& each : all) {
    if (each.axis.values.empty())
      each.axis.values = stepped({each.from, each.to}, shape.ranks.value_or(1), kDefaultPoints);
    points *= each.axis.values.size();
  }
  if (all.size() == 2 && all[0].axis.name == all[1].axis.name)
    throw wrong_option("--vary", fmt::format("{} is varied twice", all[0].axis.name));
  constexpr std::size_t kMostOfTwo = 10'000;
  if (points > kMostOfTwo)
    throw wrong_option("--vary", fmt::format("{} points, at most {} are run", points, kMostOfTwo));
  return all;
}

VariedScenario::VariedScenario(const std::vector<VariedAxis>& axes, const ShapeOptions& shape,
                               const CostCommandOptions& costs, const LimitOptions& limits,
                               const Shape& present)
    : axes_(axes), shape_(shape), costs_(costs), limits_(limits), present_(present) {
  if (!costs_.are_by_hand()) {
    ShapeOptions first = shape_;
    if (varies_shape())
      first.microbatches = 1;
    base_ = make_scenario(shape_of(first, costs_, present_), costs_, limits_);
  }
  for (const VariedAxis& each : axes_)
    check(*each.variable);
  if (varies_shape() && present_.microbatches > 0)
    throw UsageError("--vary microbatches: a program has as many as it has", {"--vary"});
  for (const VariedAxis& each : axes_)
    costs_.varied.push_back(fmt::format("--{}", each.variable->name));
}

void VariedScenario::check(const Variable& variable) const {
  const auto refuse = [&](const std::string& why) {
    throw UsageError(fmt::format("--vary {}: {}", variable.name, why), {"--vary"});
  };
  if (variable.kind == AxisKind::Count) {
    if (shape_.microbatches || costs_.model.global_batch)
      refuse(fmt::format("it is given by {} too",
                         shape_.microbatches ? "-m/--microbatches" : "--global-batch"));
    return;
  }
  if (costs_.hand.is_given(fmt::format("--{}", variable.name)))
    refuse(fmt::format("it is given by --{} too", variable.name));
  if (variable.name == "overlapped" && costs_.how.overlap == Overlap::Sum)
    refuse("with --overlap sum a pair lasts F + B");
  if (variable.name == "overlapped" && costs_.how.overlap == Overlap::Phases)
    refuse("with --overlap phases a pair lasts as its phases do");
  if (base_)
    check_in_file(variable);
}

void VariedScenario::check_in_file(const Variable& variable) const {
  const auto refuse = [&](const std::string& why) {
    throw UsageError(fmt::format("--vary {}: {}", variable.name, why), {"--vary"});
  };
  if (base_->job)
    refuse("costs from a model follow from its hardware; there microbatches alone can be varied");
  const CostSource& source = base_->costs;
  if (variable.is_of_stage && source.stages.size() > 1)
    refuse(fmt::format("costs '{}' are given stage by stage", source.name));
  const bool is_link = !variable.is_of_stage || variable.kind == AxisKind::Size;
  if (is_link && source.network)
    refuse(fmt::format("costs '{}' have a network, whose links differ", source.name));
  const auto is_varied = [&](std::string_view name) {
    return std::any_of(axes_.begin(), axes_.end(),
                       [&](const VariedAxis& each) { return each.variable->name == name; });
  };
  const auto& stages = source.stages;
  if (variable.kind == AxisKind::Rate && !is_varied("message") &&
      std::all_of(stages.begin(), stages.end(),
                  [](const StageCost& stage) { return stage.message == 0; }))
    refuse(fmt::format("messages of costs '{}' have no size; vary message too", source.name));
  if (variable.kind == AxisKind::Size && !is_varied("bandwidth") &&
      source.link.bytes_per_second <= 0)
    refuse(fmt::format("links of costs '{}' have no rate; vary bandwidth too", source.name));
  if (variable.kind != AxisKind::Duration || !variable.is_of_stage)
    return;
  const StageCost& stage = stages[0];
  const Overlap overlap = costs_.how.overlap;
  if (stage.timed_by_phases ||
      (!stage.phases.empty() &&
       (overlap == Overlap::Phases || (overlap == Overlap::Auto && !stage.overlapped))))
    refuse(fmt::format("durations of costs '{}' follow from phases", source.name));
}

Scenario VariedScenario::at(const std::vector<std::int64_t>& values) const {
  ShapeOptions shape = shape_;
  for (std::size_t i = 0; i < axes_.size(); ++i)
    if (axes_[i].axis.kind == AxisKind::Count)
      shape.microbatches = static_cast<int>(values[i]);
  const auto set_costs = [&](CostSource& source) {
    for (std::size_t i = 0; i < axes_.size(); ++i)
      if (axes_[i].variable->set != nullptr)
        axes_[i].variable->set(source, values[i]);
  };
  if (!base_) {
    CostCommandOptions costs = costs_;
    set_costs(costs.by_hand);
    return make_scenario(shape_of(shape, costs, present_), costs, limits_);
  }
  Scenario scenario = *base_;
  scenario.shape = shape_of(shape, costs_, present_);
  set_costs(scenario.costs);
  return scenario;
}

Scenario VariedScenario::first() const {
  std::vector<std::int64_t> values;
  values.reserve(axes_.size());
  for (const VariedAxis& each : axes_)
    values.push_back(each.axis.values.front());
  return at(values);
}

bool VariedScenario::varies_shape() const {
  return std::any_of(axes_.begin(), axes_.end(),
                     [](const VariedAxis& each) { return each.axis.kind == AxisKind::Count; });
}

bool VariedScenario::is_convex() const {
  const Scenario scenario = first();
  const bool shares = scenario.costs.network && scenario.costs.network->is_shared();
  // Where ranks do not wait for one another, each one's own start is taken from its end.
  return axes_[0].axis.kind != AxisKind::Count && !shares &&
         scenario.iteration.sync == OptimizerSync::Global;
}

}  // namespace bubblescope

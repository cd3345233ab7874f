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
  /// Where costs are given by hand: the option's word. Null for the number of micro-batches.
  std::string CostCommandOptions::*word = nullptr;
  /// Where they are read: all but `kind` Count have it.
  void (*set)(CostSource& source, std::int64_t value) = nullptr;
  bool is_of_stage = true;  ///< Else of the links.
};

namespace {

/// Of the one stage that stands for all.
template <auto Member>
void set_stage(CostSource& source, std::int64_t value) {
  source.stages[0].*Member = Time(value);
}

constexpr Variable kVariables[] = {
    {"p2p", AxisKind::Duration, &CostCommandOptions::p2p,
     [](CostSource& source, std::int64_t value) { source.link.latency = Time(value); }, false},
    {"bandwidth", AxisKind::Rate, &CostCommandOptions::bandwidth,
     [](CostSource& source, std::int64_t value) {
       source.link.bytes_per_second = static_cast<double>(value);
     },
     false},
    {"message", AxisKind::Size, &CostCommandOptions::message,
     [](CostSource& source, std::int64_t value) { source.stages[0].message = value; }},
    {"forward", AxisKind::Duration, &CostCommandOptions::forward, set_stage<&StageCost::forward>},
    {"input-grad", AxisKind::Duration, &CostCommandOptions::input_grad,
     set_stage<&StageCost::input_grad>},
    {"weight-grad", AxisKind::Duration, &CostCommandOptions::weight_grad,
     set_stage<&StageCost::weight_grad>},
    {"backward", AxisKind::Duration, &CostCommandOptions::backward,
     set_stage<&StageCost::backward>},
    {"overlapped", AxisKind::Duration, &CostCommandOptions::overlapped,
     set_stage<&StageCost::overlapped>},
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
  throw UsageError(fmt::format("--vary: there is no cost '{}'{}\n  costs: {}", name.substr(0, 40),
                               did_you_mean(name, names), fmt::join(names, ", ")));
}

std::int64_t parse_value(const Variable& variable, const std::string& option,
                         std::string_view text) {
  constexpr Range kCount = {1, 1'000'000};
  constexpr double kLargestRate = 9e18;
  const Quantity quantity = {option, text};
  switch (variable.kind) {
    case AxisKind::Duration:
      return parse_time(quantity).count();
    case AxisKind::Size:
      return parse_size(quantity);
    case AxisKind::Rate:
      return std::llround(std::clamp(parse_rate(quantity), 1.0, kLargestRate));
    case AxisKind::Count:
      break;
  }
  return parse_count(quantity, kCount);
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

VariedAxis parse_axis(const std::string& text, std::size_t default_points, std::int64_t ranks) {
  constexpr const char* kGrammar =
      "--vary: expected NAME=FROM:TO, NAME=FROM:TO:POINTS or NAME=FROM:TO:POINTS:log, such as "
      "p2p=0:1ms, got '{}'";
  const std::size_t equals = text.find('=');
  const Variable& variable = variable_named(std::string_view(text).substr(0, equals));
  const auto parts = parts_of(equals == text.npos ? "" : text.substr(equals + 1));
  if (parts.size() < 2 || parts.size() > 4)
    throw UsageError(fmt::format(kGrammar, text.substr(0, 60)));
  const std::string option = fmt::format("--vary {}", variable.name);
  const Ends ends = {parse_value(variable, option, parts[0]),
                     parse_value(variable, option, parts[1])};
  if (ends.from >= ends.to)
    throw UsageError(fmt::format("{}: '{}' is not less than '{}'", option, parts[0], parts[1]));
  VariedAxis varied = {&variable, {.name = std::string(variable.name), .kind = variable.kind}};
  if (varied.axis.name == "m")
    varied.axis.name = "microbatches";
  const std::string& scale = parts.back();
  varied.axis.is_logarithmic = scale == "log";
  const bool has_scale = varied.axis.is_logarithmic || scale == "linear";
  if (parts.size() == 4 && !has_scale)
    throw UsageError(fmt::format("{}: expected log or linear, got '{}'{}", option, scale,
                                 did_you_mean(scale, std::vector<std::string>{"log", "linear"})));
  if (varied.axis.is_logarithmic && ends.from == 0)
    throw UsageError(fmt::format("{}: a log scale cannot begin at 0", option));
  const std::size_t numbers = parts.size() - (has_scale && parts.size() > 2 ? 1 : 0);
  if (numbers == 3) {
    constexpr Range kPoints = {2, static_cast<std::int64_t>(kMostPoints)};
    const std::string points = option + ", points";
    varied.axis.values =
        spaced(ends, static_cast<std::size_t>(parse_count({points, parts[2]}, kPoints)),
               varied.axis.is_logarithmic);
  } else if (variable.kind == AxisKind::Count && !varied.axis.is_logarithmic) {
    varied.axis.values = stepped(ends, ranks, default_points);
  } else {
    varied.axis.values = spaced(ends, default_points, varied.axis.is_logarithmic);
  }
  return varied;
}

/// The value as an option takes it.
std::string word(const Variable& variable, std::int64_t value) {
  const char* unit = variable.kind == AxisKind::Duration ? "ns"
                     : variable.kind == AxisKind::Size   ? "B"
                     : variable.kind == AxisKind::Rate   ? "B/s"
                                                         : "";
  return fmt::format("{}{}", value, unit);
}

}  // namespace

void VaryOptions::add_to(CLI::App& app) {
  const char* group = "Sweep";
  app.add_option("--vary", vary,
                 "which schedule wins where: a cost from one value to another, such as p2p=0:1ms, "
                 "with so many points (p2p=0:1ms:25), evenly or :log; given twice, a map. Costs: "
                 "p2p, bandwidth, message, forward, input-grad, weight-grad, backward, overlapped, "
                 "microbatches")
      ->envname(environment_name("vary"))
      ->type_name("NAME=FROM:TO")
      ->group(group);
  add_option(app,
             {"--svg", "FILE", "with --vary: a picture, lines for one cost, a map for two", group},
             svg);
}

std::vector<VariedAxis> VaryOptions::axes(const ShapeOptions& shape) const {
  if (vary.size() > 2)
    throw UsageError(fmt::format("--vary: one cost or two, got {}", vary.size()));
  constexpr Range kCount = {1, 1'000'000};
  const std::int64_t ranks =
      shape.ranks.empty() ? 1 : parse_count({"-p/--ranks", shape.ranks}, kCount);
  std::vector<VariedAxis> axes;
  std::size_t points = 1;
  for (const std::string& text : vary) {
    axes.push_back(parse_axis(text, kDefaultPoints, ranks));
    points *= axes.back().axis.values.size();
  }
  if (axes.size() == 2 && axes[0].axis.name == axes[1].axis.name)
    throw UsageError(fmt::format("--vary: {} is varied twice", axes[0].axis.name));
  constexpr std::size_t kMostOfTwo = 10'000;
  if (points > kMostOfTwo)
    throw UsageError(fmt::format("--vary: {} points, at most {} are run", points, kMostOfTwo));
  return axes;
}

VariedScenario::VariedScenario(const std::vector<VariedAxis>& axes, const ShapeOptions& shape,
                               const CostCommandOptions& costs, const LimitOptions& limits,
                               const Shape& present)
    : axes_(axes), shape_(shape), costs_(costs), limits_(limits), present_(present) {
  if (!costs_.are_by_hand()) {
    ShapeOptions first = shape_;
    if (varies_shape())
      first.microbatches = "1";
    base_ = make_scenario(first.shape(present_), costs_, limits_);
  }
  for (const VariedAxis& each : axes_)
    check(*each.variable);
  if (varies_shape() && present_.microbatches > 0)
    throw UsageError("--vary microbatches: a program has as many as it has");
}

void VariedScenario::check(const Variable& variable) const {
  const auto refuse = [&](std::string_view why) {
    throw UsageError(fmt::format("--vary {}: {}", variable.name, why));
  };
  if (variable.kind == AxisKind::Count) {
    if (!shape_.microbatches.empty())
      refuse("it is given by -m/--microbatches too");
    return;
  }
  if (!(costs_.*variable.word).empty())
    refuse(fmt::format("it is given by --{} too", variable.name));
  if (variable.name == "overlapped" && costs_.overlap == "sum")
    refuse("with --overlap sum a pair lasts F + B");
  if (variable.name == "overlapped" && costs_.overlap == "phases")
    refuse("with --overlap phases a pair lasts as its phases do");
  if (base_)
    check_in_file(variable);
}

void VariedScenario::check_in_file(const Variable& variable) const {
  const auto refuse = [&](std::string_view why) {
    throw UsageError(fmt::format("--vary {}: {}", variable.name, why));
  };
  if (base_->job)
    refuse("costs from a model follow from its hardware; there microbatches alone can be varied");
  const CostSource& source = base_->costs;
  if (variable.is_of_stage && source.stages.size() > 1)
    refuse(fmt::format("costs '{}' are told stage by stage", source.name));
  const bool is_link = !variable.is_of_stage || variable.kind == AxisKind::Size;
  if (is_link && source.network)
    refuse(fmt::format("costs '{}' tell a network, whose links differ", source.name));
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
  const Overlap overlap = costs_.options().overlap;
  if (stage.timed_by_phases ||
      (!stage.phases.empty() &&
       (overlap == Overlap::Phases || (overlap == Overlap::Auto && !stage.overlapped))))
    refuse(fmt::format("durations of costs '{}' follow from phases", source.name));
}

Scenario VariedScenario::at(const std::vector<std::int64_t>& values) const {
  ShapeOptions shape = shape_;
  CostCommandOptions costs = costs_;
  for (std::size_t i = 0; i < axes_.size(); ++i)
    if (axes_[i].axis.kind == AxisKind::Count)
      shape.microbatches = std::to_string(values[i]);
    else if (!base_)
      costs.*axes_[i].variable->word = word(*axes_[i].variable, values[i]);
  if (!base_)
    return make_scenario(shape.shape(present_), costs, limits_);
  Scenario scenario = *base_;
  scenario.shape = shape.shape(present_);
  for (std::size_t i = 0; i < axes_.size(); ++i)
    if (axes_[i].variable->set != nullptr)
      axes_[i].variable->set(scenario.costs, values[i]);
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

#include "analysis/views/calibration_view.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"
#include "sim/base/json_text.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

using nlohmann::ordered_json;
using Align = Column::Align;

std::string signed_percent(double fraction) {
  constexpr double kPercent = 100;
  constexpr double kSmallest = 0.005;  // rounds to 0, which has no sign
  const double percent = fraction * kPercent;
  return fmt::format("{:+.2f} %", percent > -kSmallest && percent < kSmallest ? 0.0 : percent);
}

std::string title(const MeasuredCosts& costs) {
  return fmt::format("{}: {}, {} ranks, {} micro-batches, {} communication",
                     printable(costs.source), costs.schedule, costs.ranks, costs.microbatches,
                     to_string(costs.comm));
}

std::string steps_words(const MeasuredCosts& costs) {
  std::string words =
      fmt::format("{} step{}", costs.steps.size(), costs.steps.size() == 1 ? "" : "s");
  if (!costs.left_out.empty())
    words += fmt::format(" (left out, as warm-up: {})", fmt::join(costs.left_out, ", "));
  return words;
}

/// (q3 − q1) / median
double spread(const DurationFigures& figures) {
  return figures.median == Time::zero() ? 0
                                        : static_cast<double>((figures.q3 - figures.q1).count()) /
                                              static_cast<double>(figures.median.count());
}

Table durations_table(const MeasuredCosts& costs) {
  Time longest{};
  for (const DurationFigures& each : costs.durations)
    longest = std::max(longest, each.q3);
  const TimeUnit unit = TimeUnit::fit(longest);
  Table table{{{"stage"},
               {"op", Align::Left},
               {"count"},
               {"median"},
               {"q1"},
               {"q3"},
               {"spread"},
               {"outliers"},
               {"farthest", Align::Left}}};
  for (const DurationFigures& each : costs.durations)
    table.rows.push_back({{std::to_string(each.stage), each.kind, std::to_string(each.count),
                           unit.format(each.median), unit.format(each.q1), unit.format(each.q3),
                           format_percent(spread(each)), std::to_string(each.outliers),
                           each.outliers == 0 ? ""
                                              : fmt::format("{} ({})", unit.format(each.farthest),
                                                            each.farthest_place)}});
  return table;
}

Table replays_table(const MeasuredCosts& costs) {
  std::vector<Time> by_actions;
  std::vector<Time> by_means;
  for (const StepReplay& step : costs.steps) {
    by_actions.push_back(step.by_actions);
    by_means.push_back(step.by_means);
  }
  const TimeUnit unit = TimeUnit::fit(std::max(costs.measured, costs.by_medians));
  const auto middle = [](std::vector<Time> times) {
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  };
  Table table{{{"simulated with", Align::Left}, {"measured"}, {"simulated"}, {"error"}}};
  const auto add = [&](const std::string& what, Time simulated, double error) {
    table.rows.push_back(
        {{what, unit.format(costs.measured), unit.format(simulated), signed_percent(error)}});
  };
  add("every action as measured, no latency", middle(by_actions), costs.error_by_actions);
  add("each step's stage means, no latency", middle(by_means), costs.error_by_means);
  add("stage medians, no latency", costs.by_medians, costs.error_by_medians());
  add("stage medians and the latency below", costs.by_costs, costs.error_by_costs());
  return table;
}

std::string hop_words(const MeasuredCosts& costs) {
  const Time hop = costs.costs.link.latency;
  const TimeUnit unit = TimeUnit::fit(std::max(hop, costs.hop_by_actions));
  std::string words =
      fmt::format("latency of a hop: {} with the medians, {} with every action as measured\n",
                  unit.format(hop), unit.format(costs.hop_by_actions));
  if (hop == Time::zero() && costs.by_medians > costs.measured)
    words += "the medians alone take longer than the measured step: no latency fits\n";
  return words;
}

std::string outlier_words(const MeasuredCosts& costs) {
  std::vector<std::string> names;
  for (const StepReplay& step : costs.steps)
    if (step.is_outlier)
      names.push_back(fmt::format(
          "{} ({})", step.name,
          signed_percent(static_cast<double>(step.measured.count()) /
                             static_cast<double>(std::max<Time>(costs.measured, Time(1)).count()) -
                         1)));
  return names.empty() ? "no step is outlying\n"
                       : fmt::format("outlying steps: {}\n", fmt::join(names, ", "));
}

std::string notes(const MeasuredCosts& costs) {
  std::string text = costs.steps.size() == 1 ? ""
                                             : "of the upper two, each figure is a median over the "
                                               "steps, the error too\n";
  text += hop_words(costs) + outlier_words(costs);
  if (costs.is_backward_split)
    text += "only B was measured: I and W are taken to be half of it each\n";
  if (!costs.has_common_clock)
    text += "ranks have clocks of their own: a step is the longest span of a rank\n";
  return text;
}

ordered_json duration_json(const DurationFigures& each) {
  return {
      {"stage", each.stage},
      {"op", each.kind},
      {"count", each.count},
      {"median_ns", each.median.count()},
      {"q1_ns", each.q1.count()},
      {"q3_ns", each.q3.count()},
      {"outliers", each.outliers},
      {"farthest_ns",
       each.outliers == 0 ? ordered_json(nullptr) : ordered_json(each.farthest.count())},
      {"farthest", each.outliers == 0 ? ordered_json(nullptr) : ordered_json(each.farthest_place)}};
}

ordered_json step_json(const StepReplay& step) {
  return {{"step", step.name},
          {"measured_ns", step.measured.count()},
          {"by_actions_ns", step.by_actions.count()},
          {"by_actions_error", step.error_by_actions()},
          {"by_means_ns", step.by_means.count()},
          {"by_means_error", step.error_by_means()},
          {"outlier", step.is_outlier}};
}

ordered_json summary_json(const MeasuredCosts& costs) {
  ordered_json json = {{"source", costs.source},
                       {"schedule", costs.schedule},
                       {"ranks", costs.ranks},
                       {"microbatches", costs.microbatches},
                       {"chunks", costs.chunks},
                       {"comm", to_string(costs.comm)},
                       {"clock", costs.has_common_clock ? "common" : "per rank"},
                       {"steps", costs.steps.size()},
                       {"left_out", costs.left_out},
                       {"measured_step_ns", costs.measured.count()},
                       {"by_actions_error", costs.error_by_actions},
                       {"by_means_error", costs.error_by_means},
                       {"by_medians_ns", costs.by_medians.count()},
                       {"by_medians_error", costs.error_by_medians()},
                       {"by_costs_ns", costs.by_costs.count()},
                       {"by_costs_error", costs.error_by_costs()},
                       {"latency_ns", costs.costs.link.latency.count()},
                       {"latency_by_actions_ns", costs.hop_by_actions.count()},
                       {"backward_split", costs.is_backward_split},
                       {"outlying_steps", ordered_json::array()}};
  for (const StepReplay& step : costs.steps)
    if (step.is_outlier)
      json["outlying_steps"].push_back(step.name);
  return json;
}

std::vector<ordered_json> duration_rows(const MeasuredCosts& costs) {
  std::vector<ordered_json> rows;
  for (const DurationFigures& each : costs.durations)
    rows.push_back(duration_json(each));
  return rows;
}

}  // namespace

std::string calibration_view(const MeasuredCosts& costs, Format format, Color color) {
  if (format == Format::Csv)
    return to_csv(duration_rows(costs));
  if (format == Format::Json) {
    ordered_json json = summary_json(costs);
    json["durations"] = duration_rows(costs);
    json["per_step"] = ordered_json::array();
    for (const StepReplay& step : costs.steps)
      json["per_step"].push_back(step_json(step));
    return dump_json(json, 2) + "\n";
  }
  Page page(format, color);
  page.line(title(costs));
  page.line(steps_words(costs));
  page.table(durations_table(costs));
  page.table(replays_table(costs));
  page.blank_line();
  return page.text() + notes(costs);
}

ordered_json derivation_json(const MeasuredCosts& costs) {
  ordered_json json = summary_json(costs);
  json["means"] =
      "Durations are medians over steps and micro-batches; the latency of a hop is what brings a "
      "simulation with them to the median step. Errors are simulated / measured - 1.";
  json["durations"] = duration_rows(costs);
  return {{"_derivation", json}};
}

}  // namespace bubblescope

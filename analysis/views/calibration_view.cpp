#include "analysis/views/calibration_view.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/views/document.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

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

Rows duration_rows(const MeasuredCosts& costs) {
  Rows rows;
  for (const DurationFigures& each : costs.durations) {
    const bool has_outliers = each.outliers > 0;
    rows.push_back({{"stage", each.stage},
                    {"op", each.kind},
                    {"count", each.count},
                    {"median_ns", each.median},
                    {"q1_ns", each.q1},
                    {"q3_ns", each.q3},
                    {"outliers", each.outliers},
                    {"farthest_ns", has_outliers ? Json(each.farthest) : Json()},
                    {"farthest", has_outliers ? Json(each.farthest_place) : Json()}});
  }
  return rows;
}

Table durations_table(const MeasuredCosts& costs) {
  Table table{"row",
              {{"stage", "", {}, Show::Always},
               {"op", "", {}, Show::Always},
               {"count"},
               {"median_ns"},
               {"q1_ns"},
               {"q3_ns"},
               {"spread", "", percent},
               {"outliers"},
               {"farthest_ns"},
               {"farthest", "in"}},
              duration_rows(costs)};
  for (std::size_t i = 0; i < table.rows.size(); ++i)
    table.rows[i]["spread"] =
        ratio(costs.durations[i].q3 - costs.durations[i].q1, costs.durations[i].median);
  return table;
}

Table replays_table(const MeasuredCosts& costs) {
  std::vector<Time> by_actions;
  std::vector<Time> by_means;
  for (const StepReplay& step : costs.steps) {
    by_actions.push_back(step.by_actions);
    by_means.push_back(step.by_means);
  }
  const auto middle = [](std::vector<Time> times) {
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  };
  Table table{
      "", {{"simulated with"}, {"measured_ns"}, {"simulated_ns"}, {"error", "", signed_percent}}};
  const auto add = [&](const char* what, Time simulated, double error) {
    table.rows.push_back({{"simulated with", what},
                          {"measured_ns", costs.measured},
                          {"simulated_ns", simulated},
                          {"error", error}});
  };
  add("every action as measured, no latency", middle(by_actions), costs.error_by_actions);
  add("each step's stage means, no latency", middle(by_means), costs.error_by_means);
  add("stage medians, no latency", costs.by_medians, costs.error_by_medians());
  add("stage medians and the latency below", costs.by_costs, costs.error_by_costs());
  return table;
}

void add_notes(Document& page, const MeasuredCosts& costs) {
  if (costs.steps.size() > 1)
    page.line("each figure of the upper two rows is a median over the steps, the error too");
  const Time hop = costs.costs.link.latency;
  const TimeUnit unit = TimeUnit::fit(std::max(hop, costs.hop_by_actions));
  page.line(fmt::format("latency of a hop: {} with the medians, {} with every action as measured",
                        unit.format(hop), unit.format(costs.hop_by_actions)));
  if (hop == Time::zero() && costs.by_medians > costs.measured)
    page.line("the medians alone take longer than the measured step: no latency fits");
  std::vector<std::string> outliers;
  for (const StepReplay& step : costs.steps)
    if (step.is_outlier)
      outliers.push_back(
          fmt::format("{} ({})", step.name,
                      signed_percent(ratio(step.measured, std::max(costs.measured, Time(1))) - 1)));
  page.line(outliers.empty() ? "no step is outlying"
                             : fmt::format("outlying steps: {}", fmt::join(outliers, ", ")));
  if (costs.is_backward_split)
    page.line("only B was measured: I and W are taken to be half of it each");
  if (!costs.has_common_clock)
    page.line("ranks have clocks of their own: a step is the longest span of a rank");
}

Json summary_json(const MeasuredCosts& costs) {
  Json json = {{"source", costs.source},
               {"schedule", costs.schedule},
               {"ranks", costs.ranks},
               {"microbatches", costs.microbatches},
               {"chunks", costs.chunks},
               {"comm", to_string(costs.comm)},
               {"clock", costs.has_common_clock ? "common" : "per rank"},
               {"steps", costs.steps.size()},
               {"left_out", costs.left_out},
               {"measured_step_ns", costs.measured},
               {"by_actions_error", costs.error_by_actions},
               {"by_means_error", costs.error_by_means},
               {"by_medians_ns", costs.by_medians},
               {"by_medians_error", costs.error_by_medians()},
               {"by_costs_ns", costs.by_costs},
               {"by_costs_error", costs.error_by_costs()},
               {"latency_ns", costs.costs.link.latency},
               {"latency_by_actions_ns", costs.hop_by_actions},
               {"backward_split", costs.is_backward_split},
               {"outlying_steps", Json::array()}};
  for (const StepReplay& step : costs.steps)
    if (step.is_outlier)
      json["outlying_steps"].push_back(step.name);
  return json;
}

}  // namespace

std::string calibration_view(const MeasuredCosts& costs, const Style& style) {
  return render(
      style,
      [&] {
        Document page;
        page.title(title(costs), Emphasis::None);
        page.line(steps_words(costs));
        page.table(durations_table(costs));
        page.table(replays_table(costs));
        add_notes(page, costs);
        return page;
      },
      [&] {
        Json json = summary_json(costs);
        json["durations"] = duration_rows(costs);
        json["per_step"] = Json::array();
        for (const StepReplay& step : costs.steps)
          json["per_step"].push_back({{"step", step.name},
                                      {"measured_ns", step.measured},
                                      {"by_actions_ns", step.by_actions},
                                      {"by_actions_error", step.error_by_actions()},
                                      {"by_means_ns", step.by_means},
                                      {"by_means_error", step.error_by_means()},
                                      {"outlier", step.is_outlier}});
        return json;
      },
      [&] { return duration_rows(costs); });
}

nlohmann::ordered_json derivation_json(const MeasuredCosts& costs) {
  Json json = summary_json(costs);
  json["means"] =
      "Durations are medians over steps and micro-batches; the latency of a hop is what brings a "
      "simulation with them to the median step. Errors are simulated / measured - 1.";
  json["durations"] = duration_rows(costs);
  return {{"_derivation", json}};
}

}  // namespace bubblescope

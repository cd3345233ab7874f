#include "analysis/views/validate_view.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"
#include "analysis/views/replay_view.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using nlohmann::ordered_json;
using Align = Column::Align;

constexpr double kPoints = 100;

/// Two decimals with a sign; what rounds to 0 is +0.00.
std::string with_sign(double number) {
  constexpr double kHundred = 100;
  return fmt::format("{:+.2f}", std::round(number * kHundred) / kHundred + 0.0);
}

std::string signed_percent(double fraction) {
  return with_sign(fraction * kPoints) + " %";
}

std::string signed_points(double points) {
  return with_sign(points) + " points";
}

bool is_exact(const Validation& validation) {
  const TimelineComparison& both = validation.comparison;
  return both.step_error == 0 && both.start_errors.max == Time::zero();
}

/// "± …", or why there is none.
std::string noise_cell(const Measurement& measurement, const std::string& noise) {
  if (measurement.virtual_clock)
    return "none";
  return measurement.is_noise_known() ? "± " + noise : "unknown";
}

std::string step_noise_cell(const Validation& validation) {
  return noise_cell(validation.measurement, format_percent(validation.measurement.uncertainty()));
}

Table figures_table(const Validation& validation) {
  const TimelineComparison& both = validation.comparison;
  const Time step = both.measured.step_time;
  const TimeUnit unit = TimeUnit::fit(std::max(step, both.predicted.step_time));
  Table table = {
      {{"figure", Align::Left}, {"predicted"}, {"measured"}, {"error"}, {"noise"}},
      {{{"step time", unit.format(both.predicted.step_time), unit.format(step),
         signed_percent(both.step_error), step_noise_cell(validation)}},
       {{"bubble_fraction", format_percent(both.predicted.bubble_fraction),
         format_percent(both.measured.bubble_fraction), signed_points(both.bubble_error_points),
         noise_cell(validation.measurement,
                    fmt::format("{:.2f} points", validation.bubble_noise_points()))}}}};
  const Time start_noise(
      std::llround(validation.measurement.uncertainty() * static_cast<double>(step.count())));
  const auto add_starts = [&](const char* name, Time error) {
    table.rows.push_back({{name, "", "", unit.format(error),
                           noise_cell(validation.measurement, unit.format(start_noise))}});
  };
  add_starts("op start, p50", both.start_errors.p50);
  add_starts("op start, p95", both.start_errors.p95);
  add_starts("op start, max", both.start_errors.max);
  return table;
}

Table rank_table(const TimelineComparison& both) {
  Table table{{{"rank"}, {"predicted\nbubble"}, {"measured\nbubble"}, {"error"}}};
  for (Rank rank = 0; rank < both.predicted.ranks; ++rank)
    table.rows.push_back(
        {{std::to_string(rank), format_percent(bubble_fraction(both.predicted, rank)),
          format_percent(bubble_fraction(both.measured, rank)),
          signed_points(both.rank_bubble_error_points(rank))}});
  return table;
}

/// Empty where nothing was measured.
Table machine_table(const Measurement& measurement) {
  Table table{{{"machine", Align::Left}, {"value", Align::Left}}};
  if (!measurement.virtual_clock)
    for (const auto& [fact, value] : measurement.machine)
      table.rows.push_back({{fact, value}});
  return table;
}

Table schedules_table(const std::vector<Validation>& validations) {
  Table table{{{"schedule", Align::Left},
               {"predicted\nstep time"},
               {"measured\nstep time"},
               {"step\nerror"},
               {"noise"},
               {"predicted\nbubble"},
               {"measured\nbubble"},
               {"bubble\nerror"},
               {"op start\np95 error"},
               {"holds", Align::Left}}};
  Time longest{};
  for (const Validation& each : validations)
    longest = std::max(
        {longest, each.comparison.predicted.step_time, each.comparison.measured.step_time});
  const TimeUnit unit = TimeUnit::fit(longest);
  for (const Validation& each : validations) {
    const TimelineComparison& both = each.comparison;
    table.rows.push_back(
        {{both.predicted.schedule, unit.format(both.predicted.step_time),
          unit.format(both.measured.step_time), signed_percent(both.step_error),
          step_noise_cell(each), format_percent(both.predicted.bubble_fraction),
          format_percent(both.measured.bubble_fraction), signed_points(both.bubble_error_points),
          unit.format(both.start_errors.p95), each.holds() ? "yes" : "no"}});
  }
  return table;
}

/// "zb-h1, 1f1b"
std::string names(const std::vector<std::string>& all) {
  return fmt::format("{}", fmt::join(all, ", "));
}

std::string ranking_words(const Ranking& ranking) {
  std::string text = fmt::format("predicted order: {}\nmeasured order:  {}\n",
                                 names(ranking.predicted), names(ranking.measured));
  if (ranking.pairs == 0)
    return text + "ranked: no pair's predictions differ by more than twice the noise\n";
  const auto right = ranking.pairs - static_cast<int>(ranking.wrong.size());
  text += fmt::format(
      "ranked right: {} of {} pair{} whose predictions differ by more than twice "
      "the noise\n",
      right, ranking.pairs, ranking.pairs == 1 ? "" : "s");
  for (const Ranking::Pair& pair : ranking.wrong)
    text += fmt::format("ranked wrong: {} was predicted to be faster than {}, and is not\n",
                        pair.faster, pair.slower);
  return text;
}

ordered_json start_errors_json(const StartErrors& errors) {
  return {{"p50", errors.p50.count()},
          {"p95", errors.p95.count()},
          {"max", errors.max.count()},
          {"worst_action", errors.worst_action},
          {"worst_rank", errors.worst_rank}};
}

/// What has no parts.
ordered_json summary_json(const Validation& validation) {
  const TimelineComparison& both = validation.comparison;
  const Report& report = both.predicted;
  return {{"schedule", report.schedule},
          {"ranks", report.ranks},
          {"microbatches", report.microbatches},
          {"chunks", report.chunks},
          {"comm", to_string(report.comm)},
          {"channels", has_channels(report.comm) ? ordered_json(to_string(report.channels))
                                                 : ordered_json(nullptr)},
          {"predicted_step_ns", report.step_time.count()},
          {"measured_step_ns", both.measured.step_time.count()},
          {"step_error", std::isfinite(both.step_error) ? ordered_json(both.step_error) : nullptr},
          {"predicted_bubble", report.bubble_fraction},
          {"measured_bubble", both.measured.bubble_fraction},
          {"bubble_error_points", both.bubble_error_points},
          {"tolerance", validation.tolerance},
          {"holds", validation.holds()}};
}

ordered_json json(const Validation& validation) {
  ordered_json json = summary_json(validation);
  const TimelineComparison& both = validation.comparison;
  json["start_error_ns"] = start_errors_json(both.start_errors);
  add_measurement(validation.measurement, json);
  json["per_rank"] = ordered_json::array();
  for (Rank rank = 0; rank < both.predicted.ranks; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    json["per_rank"].push_back({{"rank", rank},
                                {"predicted_busy_ns", both.predicted.per_rank[r].busy.count()},
                                {"measured_busy_ns", both.measured.per_rank[r].busy.count()},
                                {"predicted_bubble", bubble_fraction(both.predicted, rank)},
                                {"measured_bubble", bubble_fraction(both.measured, rank)},
                                {"bubble_error_points", both.rank_bubble_error_points(rank)}});
  }
  json["verdict"] = verdict(validation);
  return json;
}

ordered_json ranking_json(const Ranking& ranking) {
  ordered_json json = {{"predicted_order", ranking.predicted},
                       {"measured_order", ranking.measured},
                       {"pairs", ranking.pairs},
                       {"right", ranking.pairs - static_cast<int>(ranking.wrong.size())},
                       {"wrong", ordered_json::array()}};
  for (const Ranking::Pair& pair : ranking.wrong)
    json["wrong"].push_back({{"predicted_faster", pair.faster}, {"predicted_slower", pair.slower}});
  return json;
}

std::string csv(const std::vector<Validation>& validations) {
  std::vector<ordered_json> rows;
  for (const Validation& each : validations) {
    ordered_json row = summary_json(each);
    const StartErrors& errors = each.comparison.start_errors;
    row["start_error_p50_ns"] = errors.p50.count();
    row["start_error_p95_ns"] = errors.p95.count();
    row["start_error_max_ns"] = errors.max.count();
    row["noise"] =
        each.measurement.is_noise_known() ? ordered_json(each.measurement.noise()) : nullptr;
    row["clock_uncertainty_ns"] = each.measurement.clock_uncertainty.count();
    row["steps"] = each.measurement.step_times.size();
    row["backend"] = each.measurement.backend;
    row["device"] = each.measurement.device();
    row["clock"] = each.measurement.virtual_clock ? "virtual" : "real";
    row["workload"] = each.measurement.workload;
    rows.push_back(std::move(row));
  }
  return to_csv(rows);
}

std::string one(const Validation& validation, Format format, Color color) {
  const TimelineComparison& both = validation.comparison;
  Page page(format, color);
  page.title(fmt::format("{}, predicted and measured on {}: {}", both.predicted.schedule,
                         validation.measurement.device(), setting(both.predicted)));
  page.table(figures_table(validation));
  if (both.start_errors.max > Time::zero())
    page.lines(fmt::format("furthest from its predicted start: {} on rank {}\n",
                           both.start_errors.worst_action, both.start_errors.worst_rank));
  page.table(rank_table(both));
  if (const Table machine = machine_table(validation.measurement); !machine.rows.empty())
    page.table(machine);
  page.lines(fmt::format("measured: {}\n{}verdict: {}\n", steps_words(validation.measurement),
                         parity_words(validation.measurement), verdict(validation)));
  return page.text();
}

/// The one that lies furthest off, or fails otherwise.
const Validation& worst(const std::vector<Validation>& validations) {
  return *std::max_element(validations.begin(), validations.end(),
                           [](const Validation& a, const Validation& b) {
                             return std::pair(!a.holds(), std::abs(a.comparison.step_error)) <
                                    std::pair(!b.holds(), std::abs(b.comparison.step_error));
                           });
}

std::string several(const std::vector<Validation>& validations, Format format, Color color) {
  const Validation& first = validations.front();
  Page page(format, color);
  page.title(fmt::format("{} schedules, predicted and measured on {}: {}", validations.size(),
                         first.measurement.device(), setting(first.comparison.predicted)));
  page.table(schedules_table(validations));
  if (const Table machine = machine_table(first.measurement); !machine.rows.empty())
    page.table(machine);
  page.lines(ranking_words(rank(validations)));
  std::string text;
  for (const Validation& each : validations)
    if (const std::string parity = parity_words(each.measurement); !parity.empty())
      text += each.comparison.predicted.schedule + ": " + parity;
  const auto held = std::count_if(validations.begin(), validations.end(),
                                  [](const Validation& each) { return each.holds(); });
  const Validation& furthest = worst(validations);
  text += fmt::format("verdict: {} of {} hold; ", held, validations.size());
  if (!std::all_of(validations.begin(), validations.end(), is_exact))
    text += fmt::format("the furthest off is {}, ", furthest.comparison.predicted.schedule);
  text += verdict(furthest) + "\n";
  page.lines(text);
  return page.text();
}

std::vector<std::string> in_order(const std::vector<Validation>& validations,
                                  Report TimelineComparison::*which) {
  std::vector<const Report*> reports;
  reports.reserve(validations.size());
  for (const Validation& each : validations)
    reports.push_back(&(each.comparison.*which));
  std::stable_sort(reports.begin(), reports.end(),
                   [](const Report* a, const Report* b) { return a->step_time < b->step_time; });
  std::vector<std::string> order;
  order.reserve(reports.size());
  for (const Report* each : reports)
    order.push_back(each->schedule);
  return order;
}

}  // namespace

bool Validation::is_within() const {
  return std::abs(comparison.step_error) <= tolerance;
}

bool Validation::holds() const {
  return is_within() && (!measurement.parity || measurement.parity->holds());
}

double Validation::bubble_noise_points() const {
  // bubble = 1 − busy / (ranks · step), so d bubble = (1 − bubble) · d step / step
  return kPoints * (1 - comparison.measured.bubble_fraction) * measurement.uncertainty();
}

Ranking rank(const std::vector<Validation>& validations) {
  Ranking ranking{.predicted = in_order(validations, &TimelineComparison::predicted),
                  .measured = in_order(validations, &TimelineComparison::measured)};
  const auto step = [](const Report& report) {
    return static_cast<double>(report.step_time.count());
  };
  for (const Validation& fast : validations)
    for (const Validation& slow : validations) {
      const TimelineComparison& a = fast.comparison;
      const TimelineComparison& b = slow.comparison;
      const double noise = std::max(fast.measurement.uncertainty() * step(a.measured),
                                    slow.measurement.uncertainty() * step(b.measured));
      if (step(b.predicted) - step(a.predicted) <= 2 * noise)
        continue;
      ++ranking.pairs;
      if (a.measured.step_time >= b.measured.step_time)
        ranking.wrong.push_back({a.predicted.schedule, b.predicted.schedule});
    }
  return ranking;
}

std::string verdict(const Validation& validation) {
  const TimelineComparison& both = validation.comparison;
  const Measurement& measurement = validation.measurement;
  const double error = both.step_error;
  std::string text = fmt::format("{} {:g} %: ", validation.is_within() ? "within" : "past",
                                 validation.tolerance * kPoints);
  if (is_exact(validation))
    text += "all is as predicted, to the nanosecond";
  else if (!std::isfinite(error))
    text += "the step was predicted to take no time";
  else
    text += fmt::format("the step is {} off its prediction", signed_percent(error));
  if (measurement.virtual_clock)
    text += "; a virtual clock proves order and messages, and measures nothing";
  else if (!measurement.is_noise_known())
    text += "; the noise of a single step is unknown";
  else if (measurement.uncertainty() > validation.tolerance)
    text += fmt::format("; the noise, ± {}, is larger than the tolerance",
                        format_percent(measurement.uncertainty()));
  else if (std::abs(error) <= measurement.uncertainty())
    text +=
        fmt::format(", which is within the noise, ± {}", format_percent(measurement.uncertainty()));
  else
    text += fmt::format("; the noise is ± {}", format_percent(measurement.uncertainty()));
  if (measurement.parity && !measurement.parity->holds())
    text += "; parity fails";
  return text;
}

std::string validate_view(const std::vector<Validation>& validations, Format format, Color color) {
  if (format == Format::Csv)
    return csv(validations);
  if (format != Format::Json)
    return validations.size() == 1 ? one(validations.front(), format, color)
                                   : several(validations, format, color);
  if (validations.size() == 1)
    return dump_json(json(validations.front()), 2) + "\n";
  ordered_json all = {{"results", ordered_json::array()}};
  for (const Validation& each : validations)
    all["results"].push_back(json(each));
  all["ranking"] = ranking_json(rank(validations));
  return dump_json(all, 2) + "\n";
}

}  // namespace bubblescope

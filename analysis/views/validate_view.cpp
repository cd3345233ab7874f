#include "analysis/views/validate_view.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/views/replay_view.h"
#include "analysis/views/report_json.h"

namespace bubblescope {
namespace {

constexpr double kPoints = 100;

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

Time longer_step(const Validation& validation) {
  return std::max(validation.comparison.measured.step_time,
                  validation.comparison.predicted.step_time);
}

Table figures_table(const Validation& validation) {
  const TimelineComparison& both = validation.comparison;
  const TimeUnit unit = TimeUnit::fit(longer_step(validation));
  Table table{"",
              {{"figure"},
               {"predicted", "", as_it_is},
               {"measured", "", as_it_is},
               {"error", "", as_it_is},
               {"noise", "", as_it_is}}};
  const auto add = [&](const char* figure, const std::string& predicted,
                       const std::string& measured, const std::string& error,
                       const std::string& noise) {
    table.rows.push_back({{"figure", figure},
                          {"predicted", predicted},
                          {"measured", measured},
                          {"error", error},
                          {"noise", noise}});
  };
  add("step time", unit.format(both.predicted.step_time), unit.format(both.measured.step_time),
      signed_percent(both.step_error), step_noise_cell(validation));
  add("bubble_fraction", format_percent(both.predicted.bubble_fraction),
      format_percent(both.measured.bubble_fraction), signed_points(both.bubble_error_points),
      noise_cell(validation.measurement,
                 fmt::format("{:.2f} points", validation.bubble_noise_points())));
  const Time start_noise(std::llround(validation.measurement.uncertainty() *
                                      static_cast<double>(both.measured.step_time.count())));
  for (const auto& [name, error] : {std::pair("op start, p50", both.start_errors.p50),
                                    {"op start, p95", both.start_errors.p95},
                                    {"op start, max", both.start_errors.max}})
    add(name, "", "", unit.format(error),
        noise_cell(validation.measurement, unit.format(start_noise)));
  return table;
}

Rows rank_rows(const TimelineComparison& both) {
  Rows rows;
  for (Rank rank = 0; rank < both.predicted.ranks; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    rows.push_back({{"rank", rank},
                    {"predicted_busy_ns", both.predicted.per_rank[r].busy},
                    {"measured_busy_ns", both.measured.per_rank[r].busy},
                    {"predicted_bubble", bubble_fraction(both.predicted, rank)},
                    {"measured_bubble", bubble_fraction(both.measured, rank)},
                    {"bubble_error_points", both.rank_bubble_error_points(rank)}});
  }
  return rows;
}

/// Nothing where nothing was measured.
void add_machine(Document& page, const Measurement& measurement) {
  Table table{"", {{"machine"}, {"value"}}};
  if (!measurement.virtual_clock)
    for (const auto& [fact, value] : measurement.machine)
      table.rows.push_back({{"machine", fact}, {"value", value}});
  page.table(std::move(table));
}

/// What has no parts.
Json summary_json(const Validation& validation) {
  const TimelineComparison& both = validation.comparison;
  Json json = setting_json(both.predicted);
  json.update({{"predicted_step_ns", both.predicted.step_time},
               {"measured_step_ns", both.measured.step_time},
               {"step_error", std::isfinite(both.step_error) ? Json(both.step_error) : Json()},
               {"predicted_bubble", both.predicted.bubble_fraction},
               {"measured_bubble", both.measured.bubble_fraction},
               {"bubble_error_points", both.bubble_error_points},
               {"tolerance", validation.tolerance},
               {"holds", validation.holds()}});
  return json;
}

Json json(const Validation& validation) {
  const StartErrors& errors = validation.comparison.start_errors;
  Json json = summary_json(validation);
  json["start_error_ns"] = {{"p50", errors.p50},
                            {"p95", errors.p95},
                            {"max", errors.max},
                            {"worst_action", errors.worst_action},
                            {"worst_rank", errors.worst_rank}};
  add_measurement(validation.measurement, json);
  json["per_rank"] = rank_rows(validation.comparison);
  json["verdict"] = verdict(validation);
  return json;
}

Json ranking_json(const Ranking& ranking) {
  Json json = {{"predicted_order", ranking.predicted},
               {"measured_order", ranking.measured},
               {"pairs", ranking.pairs},
               {"right", ranking.pairs - static_cast<int>(ranking.wrong.size())},
               {"wrong", Json::array()}};
  for (const Ranking::Pair& pair : ranking.wrong)
    json["wrong"].push_back({{"predicted_faster", pair.faster}, {"predicted_slower", pair.slower}});
  return json;
}

Json json(const std::vector<Validation>& validations) {
  if (validations.size() == 1)
    return json(validations.front());
  Json all = {{"results", Json::array()}};
  for (const Validation& each : validations)
    all["results"].push_back(json(each));
  all["ranking"] = ranking_json(rank(validations));
  return all;
}

Rows rows(const std::vector<Validation>& validations) {
  Rows rows;
  for (const Validation& each : validations) {
    const auto& [errors, run] = std::tie(each.comparison.start_errors, each.measurement);
    Json row = summary_json(each);
    row.update({{"start_error_p50_ns", errors.p50},
                {"start_error_p95_ns", errors.p95},
                {"start_error_max_ns", errors.max},
                {"noise", run.is_noise_known() ? Json(run.noise()) : Json()},
                {"clock_uncertainty_ns", run.clock_uncertainty},
                {"steps", run.step_times.size()},
                {"backend", run.backend},
                {"device", run.device()},
                {"clock", run.virtual_clock ? "virtual" : "real"},
                {"workload", run.workload}});
    rows.push_back(std::move(row));
  }
  return rows;
}

Document one(const Validation& validation) {
  const TimelineComparison& both = validation.comparison;
  Document page;
  page.title(fmt::format("{}, predicted and measured on {}: {}", both.predicted.schedule,
                         validation.measurement.device(), setting(both.predicted)));
  page.table(figures_table(validation));
  if (both.start_errors.max > Time::zero())
    page.line(fmt::format("furthest from its predicted start: {} on rank {}",
                          both.start_errors.worst_action, both.start_errors.worst_rank));
  page.table({"rank",
              {{"rank"},
               {"predicted_bubble", "", percent},
               {"measured_bubble", "", percent},
               {"bubble_error_points", "bubble error", signed_points}},
              rank_rows(both)});
  add_machine(page, validation.measurement);
  page.line("measured: " + steps_words(validation.measurement));
  if (const std::string parity = parity_words(validation.measurement); !parity.empty())
    page.line(parity);
  page.verdict(verdict(validation));
  return page;
}

Table schedules_table(const std::vector<Validation>& validations) {
  Table table{"",
              {{"schedule"},
               {"predicted_step_ns", "predicted step time"},
               {"measured_step_ns", "measured step time"},
               {"error", "step error", as_it_is},
               {"noise", "", as_it_is},
               {"predicted_bubble", "", percent},
               {"measured_bubble", "", percent},
               {"bubble_error_points", "bubble error", signed_points},
               {"start_error_p95_ns", "op start p95 error"},
               {"holds"}},
              rows(validations)};
  for (std::size_t i = 0; i < validations.size(); ++i) {
    table.rows[i]["error"] = signed_percent(validations[i].comparison.step_error);
    table.rows[i]["noise"] = step_noise_cell(validations[i]);
  }
  return table;
}

void add_ranking(Document& page, const Ranking& ranking) {
  page.line(fmt::format("predicted order: {}", fmt::join(ranking.predicted, ", ")));
  page.line(fmt::format("measured order:  {}", fmt::join(ranking.measured, ", ")));
  if (ranking.pairs == 0)
    page.line("ranked: no pair's predictions differ by more than twice the noise");
  else
    page.line(fmt::format(
        "ranked right: {} of {} pair{} whose predictions differ by more than twice the noise",
        ranking.pairs - static_cast<int>(ranking.wrong.size()), ranking.pairs,
        ranking.pairs == 1 ? "" : "s"));
  for (const Ranking::Pair& pair : ranking.wrong)
    page.line(fmt::format("ranked wrong: {} was predicted to be faster than {}, and is not",
                          pair.faster, pair.slower));
}

/// The one that lies furthest off, or fails otherwise.
const Validation& worst(const std::vector<Validation>& validations) {
  return *std::max_element(validations.begin(), validations.end(),
                           [](const Validation& a, const Validation& b) {
                             return std::pair(!a.holds(), std::abs(a.comparison.step_error)) <
                                    std::pair(!b.holds(), std::abs(b.comparison.step_error));
                           });
}

Document several(const std::vector<Validation>& validations) {
  const Validation& first = validations.front();
  Document page;
  page.title(fmt::format("{} schedules, predicted and measured on {}: {}", validations.size(),
                         first.measurement.device(), setting(first.comparison.predicted)));
  page.table(schedules_table(validations));
  add_machine(page, first.measurement);
  add_ranking(page, rank(validations));
  for (const Validation& each : validations)
    if (const std::string parity = parity_words(each.measurement); !parity.empty())
      page.line(each.comparison.predicted.schedule + ": " + parity);
  const auto held = std::count_if(validations.begin(), validations.end(),
                                  [](const Validation& each) { return each.holds(); });
  const Validation& furthest = worst(validations);
  const bool all_exact = std::all_of(validations.begin(), validations.end(), is_exact);
  const std::string who =
      all_exact ? ""
                : fmt::format("the furthest off is {}, ", furthest.comparison.predicted.schedule);
  page.verdict(
      fmt::format("{} of {} hold; {}{}", held, validations.size(), who, verdict(furthest)));
  return page;
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

std::string validate_view(const std::vector<Validation>& validations, const Style& style) {
  return render(
      style, [&] { return validations.size() == 1 ? one(validations[0]) : several(validations); },
      [&] { return json(validations); }, [&] { return rows(validations); });
}

}  // namespace bubblescope

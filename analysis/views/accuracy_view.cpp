#include "analysis/views/accuracy_view.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "analysis/views/document.h"

namespace bubblescope {
namespace {

/// As a fraction, with the decimals that mean something.
double shown(double value) {
  constexpr double kPlaces = 1e6;
  return std::round(value * kPlaces) / kPlaces;
}

Json json_of(const Accuracy& each, const char* key) {
  return {{key, each.name},
          {"rows", each.runs},
          {"median_error", shown(each.median_error)},
          {"median_abs_error", shown(each.median_abs_error)},
          {"mean_abs_error", shown(each.mean_abs_error)},
          {"p90_abs_error", shown(each.p90_abs_error)},
          {"pairs", each.pairs},
          {"pairs_right", each.pairs_right},
          {"worst_choice", shown(each.worst_choice)}};
}

Json json_of(const PublishedRun& run) {
  return {{"id", run.id},
          {"table", run.table},
          {"kind", run.kind},
          {"measured_ns", run.measured},
          {"predicted_ns", run.predicted},
          {"error", or_null(run.error(), shown)},
          {"judged", run.is_judged},
          {"measured_memory_bytes", run.measured_memory},
          {"peak_memory_bytes", run.peak_memory},
          {"memory_error", or_null(run.memory_error(), shown)},
          {"device_memory_bytes", run.device_memory},
          {"oom_measured", run.ran_out},
          {"oom_predicted", run.device_memory ? Json(run.is_told_to_run_out) : Json()},
          {"refused", run.refused.empty() ? Json() : Json(run.refused)},
          {"command", run.command}};
}

std::vector<Json> jsons_of(const std::vector<Accuracy>& all, const char* key) {
  std::vector<Json> result;
  result.reserve(all.size());
  for (const Accuracy& each : all)
    result.push_back(json_of(each, key));
  return result;
}

Table table_of(const std::vector<Accuracy>& all, const char* key) {
  Table table{"",
              {{key},
               {"rows"},
               {"median_error", "median", signed_percent},
               {"median_abs_error", "|median|", percent},
               {"mean_abs_error", "|mean|", percent},
               {"p90_abs_error", "|p90|", percent},
               {"pairs"},
               {"pairs_right", "ranked right"},
               {"worst_choice", "worst choice", percent}}};
  table.rows = jsons_of(all, key);
  table.emphasis.assign(table.rows.size(), Emphasis::None);
  return table;
}

/// All but times of profiles.
std::vector<const PublishedRun*> whole_runs(const std::vector<PublishedRun>& runs) {
  std::vector<const PublishedRun*> result;
  result.reserve(runs.size());
  for (const PublishedRun& run : runs)
    if (run.is_run)
      result.push_back(&run);
  return result;
}

std::string verdict(const std::vector<PublishedRun>& runs) {
  const Accuracy all = accuracy("all", whole_runs(runs));
  if (all.runs == 0)
    return "no run is predicted";
  const MemoryVerdicts memory = memory_verdicts(runs);
  std::string text = fmt::format(
      "{} run{}: half of the errors are within {:.1f} %, nine in ten "
      "within {:.1f} %",
      all.runs, all.runs == 1 ? "" : "s", 100 * all.median_abs_error, 100 * all.p90_abs_error);
  if (all.pairs > 0)
    text += fmt::format("; {} of {} pairs ranked right", all.pairs_right, all.pairs);
  if (memory.ran_out > 0)
    text += fmt::format("; {} of {} that ran and {} of {} that ran out of memory told so",
                        memory.ran_right, memory.ran, memory.ran_out_right, memory.ran_out);
  return text;
}

/// Reasons, each with how many runs it keeps from being predicted.
void add_refused(Document& page, const std::vector<PublishedRun>& runs) {
  std::set<std::string> told;
  for (const PublishedRun& run : runs) {
    if (run.refused.empty() || !told.insert(run.refused).second)
      continue;
    const auto count = std::count_if(runs.begin(), runs.end(), [&](const PublishedRun& other) {
      return other.refused == run.refused;
    });
    page.line(fmt::format("not predicted: {} run{}, such as {}: {}", count, count == 1 ? "" : "s",
                          run.id, run.refused));
  }
}

}  // namespace

std::string accuracy_view(const std::vector<PublishedRun>& runs, const Style& style) {
  const std::vector<Accuracy> tables = accuracies(runs, &PublishedRun::table);
  const std::vector<Accuracy> kinds = accuracies(runs, &PublishedRun::kind);
  return render(
      style,
      [&] {
        Document page;
        page.table(table_of(tables, "table"));
        page.table(table_of(kinds, "kind"));
        add_refused(page, runs);
        page.verdict(verdict(runs));
        return page;
      },
      [&] {
        Json json = {{"tables", jsons_of(tables, "table")},
                     {"kinds", jsons_of(kinds, "kind")},
                     {"verdict", verdict(runs)},
                     {"rows", Json::array()}};
        for (const PublishedRun& run : runs)
          json["rows"].push_back(json_of(run));
        return json;
      },
      [&] {
        Rows rows;
        for (const PublishedRun& run : runs)
          rows.push_back(json_of(run));
        return rows;
      });
}

}  // namespace bubblescope

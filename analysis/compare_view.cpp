#include "analysis/compare_view.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/report_json.h"

namespace bubblescope {
namespace {

using Align = Column::Align;

Time mean(const Report& report, Time RankReport::*figure) {
  Time sum{};
  for (const RankReport& rank : report.per_rank)
    sum += rank.*figure;
  return sum / report.ranks;
}

double times_as_long(const Report& report, const Report& best) {
  return best.ranked_time() > Time::zero() ? static_cast<double>(report.ranked_time().count()) /
                                                 static_cast<double>(best.ranked_time().count())
                                           : 1.0;
}

/// Why `best` takes less time than `next`: the larger of what its ranks save in work and in
/// waiting, without noise.
std::string reason(const Report& best, const Report& next, TimeUnit unit) {
  const auto saved = [&](Time RankReport::*figure) {
    return mean(next, figure) - mean(best, figure);
  };
  const Time busy = saved(&RankReport::busy);
  const Time idle = saved(&RankReport::idle);
  if (best.ranked_time() == next.ranked_time())
    return fmt::format("as fast as {}", next.schedule);
  if (best.whole_time() >= next.whole_time())
    return fmt::format("{:.3f}× faster than {}, which is {} without noise",
                       times_as_long(next, best), next.schedule,
                       best.whole_time() == next.whole_time() ? "as fast" : "faster");
  const auto why = idle >= busy ? fmt::format("a rank idles {} less", unit.format(idle))
                   : 2 * saved(&RankReport::exposed_comm) > busy
                       ? fmt::format("a rank exposes {} less communication",
                                     unit.format(saved(&RankReport::exposed_comm)))
                       : fmt::format("a rank works {} less", unit.format(busy));
  return fmt::format("{:.3f}× faster than {}, because {}", times_as_long(next, best), next.schedule,
                     why);
}

/// "17 live activations (8.5 p-ths of the model), 1 copy of the weights"
std::string memory_words(const Report& report) {
  const std::string share =
      report.chunks == 1 ? ""
                         : fmt::format(" ({:g} p-ths of the model)", report.peak_activation_share);
  return fmt::format("{} live activation{}{}, {} {} of the weights", report.peak_live_activations,
                     report.peak_live_activations == 1 ? "" : "s", share, report.weight_copies,
                     report.weight_copies == 1 ? "copy" : "copies");
}

/// One unit for all times of a comparison.
TimeUnit unit_of(const Comparison& comparison) {
  Time longest{};
  for (const Report& report : comparison.results)
    longest = std::max({longest, report.whole_time(), report.ranked_time()});
  return TimeUnit::fit(longest);
}

/// What "× best" refers to; where nothing fits, the fastest.
const Report& best_that_fits(const Comparison& comparison) {
  const auto& results = comparison.results;
  const auto found = std::find_if(results.begin(), results.end(), [&](const Report& report) {
    return fits(report, comparison.limit);
  });
  return found != results.end() ? *found : results.front();
}

/// Whether the results differ in how their messages travel.
bool is_mixed(const Comparison& comparison) {
  const auto& results = comparison.results;
  return std::any_of(results.begin(), results.end(), [&](const Report& report) {
    return comm_words(report) != comm_words(results.front());
  });
}

/// All have it, or none.
bool has_noise(const Comparison& comparison) {
  return !comparison.results.empty() && comparison.results.front().noise;
}

Table table(const Comparison& comparison) {
  const auto& results = comparison.results;
  Table out{{{"schedule", Align::Left},
             {"step time"},
             {"× best"},
             {"bubble\nfraction"},
             {"bubble\noverhead"},
             {"span\nbubble"},
             {"exposed\ncomm"},
             {"live\nactivations"},
             {"p-ths of\nthe model"},
             {"weight\ncopies"}}};
  const bool limited = comparison.limit.is_given();
  const bool sized = std::any_of(results.begin(), results.end(),
                                 [](const Report& r) { return r.peak_memory.has_value(); });
  const bool whole = std::any_of(results.begin(), results.end(),
                                 [](const Report& r) { return r.iteration.has_value(); });
  constexpr std::ptrdiff_t kAfterStep = 2;  // sorted by it, so it stands before "× best"
  if (whole)
    out.columns.insert(out.columns.begin() + kAfterStep, {"iteration"});
  const bool noisy = has_noise(comparison);
  const std::ptrdiff_t before_best = kAfterStep + (whole ? 1 : 0);
  if (noisy)
    out.columns.insert(out.columns.begin() + before_best,
                       {{"p50 with\nnoise"}, {"p95 with\nnoise"}});
  if (sized)
    out.columns.push_back({"peak\nmemory"});
  if (limited)
    out.columns.push_back({"fits", Align::Left});
  const bool mixed = is_mixed(comparison);
  if (mixed)
    out.columns.push_back({"messages", Align::Left});
  if (results.empty())
    return out;
  const TimeUnit unit = unit_of(comparison);
  const Report& reference = best_that_fits(comparison);
  bool best_is_ahead = true;
  for (const Report& report : results) {
    const bool fit = fits(report, comparison.limit);
    Table::Row row{
        {report.schedule, unit.format(report.step_time),
         fmt::format("{:.3f}", times_as_long(report, reference)),
         format_percent(report.bubble_fraction), format_percent(report.bubble_overhead),
         format_percent(report.span_bubble), unit.format(mean(report, &RankReport::exposed_comm)),
         std::to_string(report.peak_live_activations),
         fmt::format("{:g}", report.peak_activation_share), std::to_string(report.weight_copies)},
        !fit            ? Emphasis::Faint
        : best_is_ahead ? Emphasis::Strong
                        : Emphasis::None};
    if (whole)
      row.cells.insert(row.cells.begin() + kAfterStep, unit.format(report.whole_time()));
    if (const Percentiles* times = noisy ? report.noisy_time() : nullptr)
      row.cells.insert(
          row.cells.begin() + before_best,
          {unit.format(report.ranked_time()), unit.format(Time(std::llround(times->p95)))});
    if (sized)
      row.cells.push_back(report.peak_memory ? format_bytes(*report.peak_memory) : "unknown");
    if (limited)
      row.cells.emplace_back(fit ? "yes" : "no");
    if (mixed)
      row.cells.push_back(comm_words(report));
    best_is_ahead = best_is_ahead && !fit;
    out.rows.push_back(std::move(row));
  }
  return out;
}

/// Null where there is no limit.
nlohmann::ordered_json fits_json(const Report& report, const MemoryLimit& limit) {
  return limit.is_given() ? nlohmann::ordered_json(fits(report, limit)) : nullptr;
}

nlohmann::ordered_json json(const Comparison& comparison) {
  nlohmann::ordered_json json = {{"results", nlohmann::ordered_json::array()},
                                 {"skipped", nlohmann::ordered_json::array()},
                                 {"verdict", verdict(comparison)}};
  for (const Report& report : comparison.results) {
    json["results"].push_back(report_json(report));
    json["results"].back()["fits"] = fits_json(report, comparison.limit);
  }
  for (const Skipped& skipped : comparison.skipped)
    json["skipped"].push_back({{"schedule", skipped.schedule}, {"reason", skipped.reason}});
  return json;
}

std::string csv(const Comparison& comparison) {
  std::vector<nlohmann::ordered_json> rows;
  for (const Report& report : comparison.results) {
    rows.push_back(summary_json(report));
    rows.back()["fits"] = fits_json(report, comparison.limit);
  }
  return to_csv(rows);
}

/// "searched v-auto: its step is 0.45 % above the lower bound, 1.234 ms"
std::string search_words(const Report& report, TimeUnit unit) {
  const SearchFigures& search = *report.search;
  const std::string assumed = search_assumption(report);
  const std::string distance =
      search.is_at_bound() ? "at" : format_percent(search.above_bound()) + " above";
  return fmt::format("searched {}: its {}{} is {} the lower bound, {}", report.schedule,
                     search.objective == Objective::Step ? "step" : "widest span",
                     assumed.empty() ? "" : " with " + assumed, distance,
                     unit.format(search.bound()));
}

std::string title(const Comparison& comparison) {
  if (comparison.results.empty())
    return "no schedule fits this shape";
  const Report& first = comparison.results.front();
  std::string text =
      is_mixed(comparison)
          ? fmt::format("{} ranks, {} micro-batches; messages travel in several ways", first.ranks,
                        first.microbatches)
          : setting(first);
  if (first.noise)
    text += fmt::format("; {} steps with noise, seed {}, ranked by their median",
                        first.noise->options.samples, first.noise->options.seed);
  return text;
}

}  // namespace

void sort_best_first(std::vector<Report>& results) {
  const auto key = [](const Report& report) {
    return std::tuple(report.ranked_time(), report.peak_activation_share, report.weight_copies);
  };
  std::stable_sort(results.begin(), results.end(),
                   [&](const Report& a, const Report& b) { return key(a) < key(b); });
}

std::string verdict(const Comparison& comparison) {
  std::vector<const Report*> fitting;
  for (const Report& report : comparison.results)
    if (fits(report, comparison.limit))
      fitting.push_back(&report);
  if (fitting.empty())
    return comparison.results.empty() ? "none: no schedule can run with this shape"
                                      : "none: no schedule stays within the memory limit";
  const Report& best = *fitting.front();
  const TimeUnit unit = unit_of(comparison);
  std::string text = fmt::format("{}, {} {}{}", best.schedule, unit.format(best.ranked_time()),
                                 best.iteration ? "an iteration" : "a step",
                                 best.noise ? " in the median with noise" : "");
  if (fitting.size() > 1)
    text += ": " + reason(best, *fitting[1], unit);
  text += fmt::format("; it holds {}", memory_words(best));
  const Report& fastest = comparison.results.front();
  if (&fastest != &best)
    text += fmt::format("; {} takes {:.3f}× as long but does not fit", fastest.schedule,
                        times_as_long(fastest, best));
  const auto lighter = std::find_if(fitting.begin(), fitting.end(), [&](const Report* report) {
    return report->weight_copies < best.weight_copies;
  });
  if (lighter != fitting.end())
    text += fmt::format("; the best with {} is {}, {:.3f}× as long",
                        (*lighter)->weight_copies == 1 ? "one copy" : "fewer copies",
                        (*lighter)->schedule, times_as_long(**lighter, best));
  return text;
}

std::string compare_view(const Comparison& comparison, Format format, Color color) {
  if (format == Format::Json)
    return json(comparison).dump(2) + "\n";
  if (format == Format::Csv)
    return csv(comparison);
  const bool markdown = format == Format::Markdown;
  std::string text = markdown ? "## " + title(comparison) + "\n\n" + to_markdown(table(comparison))
                              : title(comparison) + "\n\n" + to_text(table(comparison), color);
  text += "\n";
  const std::string bullet = markdown ? "- " : "";
  for (const Skipped& skipped : comparison.skipped)
    text += bullet +
            emphasize(fmt::format("skipped {}: {}", skipped.schedule, skipped.reason),
                      Emphasis::Faint, markdown ? Color::Off : color) +
            "\n";
  for (const Report& report : comparison.results)
    if (report.search)
      text += bullet +
              emphasize(search_words(report, unit_of(comparison)), Emphasis::Faint,
                        markdown ? Color::Off : color) +
              "\n";
  text += bullet + emphasize("verdict:", Emphasis::Strong, markdown ? Color::Off : color) + " " +
          verdict(comparison) + "\n";
  return text;
}

}  // namespace bubblescope

#include "analysis/views/compare_view.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"
#include "analysis/views/report_json.h"
#include "sim/base/json_text.h"

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

/// A column, and what it shows of a result.
struct Figure {
  Column column;
  std::function<std::string(const Report&)> cell;
};

/// The times, and what the ranks do in them. One of `results` has to be there.
std::vector<Figure> time_figures(const Comparison& comparison) {
  const auto& results = comparison.results;
  const TimeUnit unit = unit_of(comparison);
  const Report& reference = best_that_fits(comparison);
  std::vector<Figure> figures = {
      {{"schedule", Align::Left}, [](const Report& r) { return r.schedule; }},
      {{"step time"}, [=](const Report& r) { return unit.format(r.step_time); }}};
  if (std::any_of(results.begin(), results.end(),
                  [](const Report& r) { return r.iteration.has_value(); }))
    figures.push_back(
        {{"iteration"}, [=](const Report& r) { return unit.format(r.whole_time()); }});
  if (results.front().noise) {  // as all have
    figures.push_back(
        {{"p50 with\nnoise"}, [=](const Report& r) { return unit.format(r.ranked_time()); }});
    figures.push_back({{"p95 with\nnoise"}, [=](const Report& r) {
                         return unit.format(Time(std::llround(r.noisy_time()->p95)));
                       }});
  }
  const std::vector<Figure> others = {
      {{"× best"},
       [&](const Report& r) { return fmt::format("{:.3f}", times_as_long(r, reference)); }},
      {{"bubble\nfraction"}, [](const Report& r) { return format_percent(r.bubble_fraction); }},
      {{"bubble\noverhead"}, [](const Report& r) { return format_percent(r.bubble_overhead); }},
      {{"span\nbubble"}, [](const Report& r) { return format_percent(r.span_bubble); }},
      {{"exposed\ncomm"},
       [=](const Report& r) { return unit.format(mean(r, &RankReport::exposed_comm)); }}};
  figures.insert(figures.end(), others.begin(), others.end());
  return figures;
}

/// What the ranks hold, and the columns that only some comparisons have.
std::vector<Figure> other_figures(const Comparison& comparison) {
  const auto& results = comparison.results;
  const auto any = [&](auto&& has) { return std::any_of(results.begin(), results.end(), has); };
  std::vector<Figure> figures = {
      {{"live\nactivations"},
       [](const Report& r) { return std::to_string(r.peak_live_activations); }},
      {{"p-ths of\nthe model"},
       [](const Report& r) { return fmt::format("{:g}", r.peak_activation_share); }},
      {{"weight\ncopies"}, [](const Report& r) { return std::to_string(r.weight_copies); }}};
  if (any([](const Report& r) { return r.chunks != 1; }))
    figures.push_back({{"v"}, [](const Report& r) { return std::to_string(r.chunks); }});
  if (any([](const Report& r) { return r.throughput.has_value(); }))
    figures.push_back({{"MFU"}, [](const Report& r) {
                         return r.throughput ? format_percent(r.throughput->mfu) : "unknown";
                       }});
  if (any([](const Report& r) { return r.peak_memory.has_value(); }))
    figures.push_back({{"peak\nmemory"}, [](const Report& r) {
                         return r.peak_memory ? format_bytes(*r.peak_memory) : "unknown";
                       }});
  if (comparison.limit.is_given())
    figures.push_back({{"fits", Align::Left},
                       [&](const Report& r) { return fits(r, comparison.limit) ? "yes" : "no"; }});
  if (is_mixed(comparison))
    figures.push_back({{"messages", Align::Left}, comm_words});
  return figures;
}

Table table(const Comparison& comparison) {
  Table out;
  if (comparison.results.empty())
    return out;
  std::vector<Figure> figures = time_figures(comparison);
  for (Figure& figure : other_figures(comparison))
    figures.push_back(std::move(figure));
  for (const Figure& figure : figures)
    out.columns.push_back(figure.column);
  bool best_is_ahead = true;
  for (const Report& report : comparison.results) {
    const bool fit = fits(report, comparison.limit);
    Table::Row row{{}, !fit ? Emphasis::Faint : best_is_ahead ? Emphasis::Strong : Emphasis::None};
    for (const Figure& figure : figures)
      row.cells.push_back(figure.cell(report));
    best_is_ahead = best_is_ahead && !fit;
    out.rows.push_back(std::move(row));
  }
  return out;
}

/// Null where there is no limit.
nlohmann::ordered_json fits_json(const Report& report, const MemoryLimit& limit) {
  return limit.is_given() ? nlohmann::ordered_json(fits(report, limit)) : nullptr;
}

nlohmann::ordered_json comparison_json(const Comparison& comparison) {
  nlohmann::ordered_json json = {{"results", nlohmann::ordered_json::array()},
                                 {"skipped", nlohmann::ordered_json::array()},
                                 {"verdict", verdict(comparison)}};
  if (comparison.limit.bytes)
    json["memory_limit_bytes"] = *comparison.limit.bytes;
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
    text += fmt::format("; {} step{} with noise, seed {}, ranked by their median",
                        first.noise->options.samples, first.noise->options.samples == 1 ? "" : "s",
                        first.noise->options.seed);
  if (comparison.limit.is_given())
    text += "; limit: " + limit_words(comparison.limit);
  return text;
}

}  // namespace

std::vector<std::size_t> sort_best_first(std::vector<Report>& results) {
  const auto key = [&](std::size_t result) {
    const Report& report = results[result];
    return std::tuple(report.ranked_time(), report.peak_activation_share, report.weight_copies);
  };
  std::vector<std::size_t> order(results.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
  std::vector<Report> sorted;
  sorted.reserve(results.size());
  for (const std::size_t result : order)
    sorted.push_back(std::move(results[result]));
  results = std::move(sorted);
  return order;
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
    return dump_json(comparison_json(comparison), 2) + "\n";
  if (format == Format::Csv)
    return csv(comparison);
  Page page(format, color);
  page.title(title(comparison), Emphasis::None);
  page.table(table(comparison));
  page.blank_line();
  for (const Skipped& skipped : comparison.skipped)
    page.skipped(skipped);
  for (const Report& report : comparison.results)
    if (report.search)
      page.point(search_words(report, unit_of(comparison)), Emphasis::Faint);
  page.verdict(verdict(comparison));
  return page.text();
}

}  // namespace bubblescope

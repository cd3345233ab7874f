#include "analysis/views/compare_view.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "analysis/views/report_json.h"
#include "sim/transformer/stage_memory.h"

namespace bubblescope {
namespace {

Time mean(const Report& report, Time RankReport::*figure) {
  Time sum{};
  for (const RankReport& rank : report.per_rank)
    sum += rank.*figure;
  return sum / report.ranks;
}

double times_as_long(const Report& report, const Report& best) {
  return best.ranked_time() > Time::zero() ? ratio(report.ranked_time(), best.ranked_time()) : 1;
}

/// With its v where another of the results has the same name.
std::string name(const Comparison& comparison, const Report& report) {
  const bool is_alone = std::none_of(
      comparison.results.begin(), comparison.results.end(),
      [&](const Report& other) { return &other != &report && other.schedule == report.schedule; });
  return is_alone ? report.schedule : fmt::format("{} v={}", report.schedule, report.chunks);
}

/// "32 % less time"
std::string less_time(const Report& best, const Report& other) {
  return short_percent(1 - times_as_long(best, other)) + " less time";
}

/// A rank's mean time falls into three parts. With noise they are those of the median step.
struct Parts {
  Time busy;
  Time idle;
  Time after;  ///< The step.
};

Parts parts(const Report& report) {
  if (!report.noise)
    return {mean(report, &RankReport::busy), mean(report, &RankReport::idle),
            report.whole_time() - report.step_time};
  const double step = report.noise->step_time.p50;
  const double idle = step * report.noise->bubble_fraction.p50;
  const auto time = [](double ns) { return Time(std::llround(ns)); };
  return {time(step - idle), time(idle), report.ranked_time() - time(step)};
}

/// Why `best` takes less time than `next`: the largest of what it saves.
std::string cause(const Report& best, const Report& next, const TimeUnit& unit) {
  const Parts less = parts(best);
  const Parts more = parts(next);
  const Time idle = more.idle - less.idle;
  const Time busy = more.busy - less.busy;
  const Time after = more.after - less.after;
  if (after > std::max(idle, busy))
    return fmt::format("what follows the step takes {} less", unit.format(after));
  if (idle >= busy)
    return fmt::format("a rank idles {} less", unit.format(idle));
  const Time exposed =
      mean(next, &RankReport::exposed_comm) - mean(best, &RankReport::exposed_comm);
  return !best.noise && 2 * exposed > busy
             ? fmt::format("a rank exposes {} less communication", unit.format(exposed))
             : fmt::format("a rank works {} less", unit.format(busy));
}

std::string reason(const Comparison& comparison, const Report& best, const Report& next,
                   const TimeUnit& unit) {
  if (best.ranked_time() == next.ranked_time())
    return "as fast as " + name(comparison, next);
  const char* calm = best.whole_time() < next.whole_time()    ? ""
                     : best.whole_time() == next.whole_time() ? ", which is as fast without noise"
                                                              : ", which is faster without noise";
  return fmt::format("{} than {}{}, because {}", less_time(best, next), name(comparison, next),
                     calm, cause(best, next, unit));
}

/// "17 live activations (8.5 in-flight micro-batches), 1 copy of the weights"
std::string memory_words(const Report& report) {
  const std::string share = report.chunks == 1 ? ""
                                               : fmt::format(" ({:g} in-flight micro-batches)",
                                                             report.peak_activation_share);
  return fmt::format("{} live activation{}{}, {} {} of the weights", report.peak_live_activations,
                     report.peak_live_activations == 1 ? "" : "s", share, report.weight_copies,
                     report.weight_copies == 1 ? "copy" : "copies");
}

/// Says which part of its activations the fullest rank has room for beside its weights.
std::string remedy(const Report& report, Bytes limit) {
  const auto most = std::max_element(
      report.per_rank.begin(), report.per_rank.end(),
      [](const RankReport& a, const RankReport& b) { return a.peak_memory() < b.peak_memory(); });
  const MemoryPeak& peak = *most->peak;
  const Bytes room = limit - peak.weights;
  if (room <= 0)
    return fmt::format("the weights of rank {} alone take {}", most->rank,
                       format_bytes(peak.weights));
  return fmt::format(
      "beside the {} of weights on rank {} there is room for {:.0f} % of its activations, {}",
      format_bytes(peak.weights), most->rank,
      std::floor(100 * static_cast<double>(room) / static_cast<double>(peak.activations)),
      format_bytes(peak.activations));
}

/// Where none of the results fits: which comes nearest, and what it lacks.
std::string nearest(const Comparison& comparison) {
  const std::vector<Report>& results = comparison.results;
  const MemoryLimit& limit = comparison.limit;
  std::string text = "none fits " + limit_words(limit);
  const auto least = [&](const auto& key) -> const Report& {
    return *std::min_element(results.begin(), results.end(),
                             [&](const Report& a, const Report& b) { return key(a) < key(b); });
  };
  if (limit.live_activations) {
    const Report& next = least([](const Report& r) { return r.peak_live_activations; });
    return text + fmt::format(": nearest is {} with {}, {} too many", name(comparison, next),
                              next.peak_live_activations,
                              next.peak_live_activations - *limit.live_activations);
  }
  const Report& next =
      least([](const Report& r) { return std::pair(!r.peak_memory, r.peak_memory.value_or(0)); });
  if (!next.held_memory())
    return text + ": unknown, the costs give no sizes";
  return text +
         fmt::format(": nearest is {} with {}, {} too much; {}", name(comparison, next),
                     format_bytes(*next.held_memory()),
                     format_bytes(*next.held_memory() - *limit.bytes),
                     remedy(next, next.device_memory ? tensor_memory(*limit.bytes) : *limit.bytes));
}

/// One unit for all times of a comparison.
Time longest(const Comparison& comparison) {
  Time most{};
  for (const Report& report : comparison.results)
    most = std::max({most, report.whole_time(), report.ranked_time()});
  return most;
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

Table table(const Comparison& comparison) {
  const auto& results = comparison.results;
  const bool has_chunks =
      std::any_of(results.begin(), results.end(), [](const Report& r) { return r.chunks != 1; });
  const bool has_iteration = std::any_of(results.begin(), results.end(),
                                         [](const Report& r) { return r.iteration.has_value(); });
  const bool has_device = std::any_of(results.begin(), results.end(),
                                      [](const Report& r) { return r.device_memory.has_value(); });
  const Show stages = has_chunks ? Show::Usual : Show::OnRequest;
  Table out{"schedule",
            {{"schedule"},
             {"step_time_ns", "", {}, has_iteration ? Show::IfRoom : Show::Always},
             {"iteration_time_ns", "iteration", {}, Show::IfRoom},
             {"p50_ns", "p50 with noise"},
             {"p95_ns", "p95 with noise"},
             {"times_as_long", "× best", decimals, Show::Always},
             {"bubble_fraction", "", percent},
             {"bubble_overhead", "", percent, Show::OnRequest},
             {"span_bubble", "", percent, Show::OnRequest},
             {"exposed_comm_ns"},
             {"peak_live_activations",
              "live activations",
              {},
              has_chunks ? Show::OnRequest : Show::Usual},
             {"peak_activation_share", "in-flight micro-batches", {}, stages},
             {"weight_copies"},
             {"chunks", "v", {}, stages},
             {"mfu", "MFU", percent},
             {"peak_memory_bytes", "", {}, has_device ? Show::OnRequest : Show::Usual},
             {"device_memory_bytes"},
             {"fits"},
             {"messages"}}};
  bool best_is_ahead = true;
  for (const Report& report : results) {
    const bool fit = fits(report, comparison.limit);
    out.emphasis.push_back(!fit            ? Emphasis::Faint
                           : best_is_ahead ? Emphasis::Strong
                                           : Emphasis::None);
    best_is_ahead = best_is_ahead && !fit;
    Json row = summary_json(report);
    add_fits(row, report, comparison.limit);
    const Percentiles* noise = report.noisy_time();
    row["p50_ns"] = noise != nullptr ? Json(noise->p50) : Json();
    row["p95_ns"] = noise != nullptr && noise->p95 != noise->p50 ? Json(noise->p95) : Json();
    if (report.noise)
      row["bubble_fraction"] = report.noise->bubble_fraction.p50;
    if (report.throughput)
      row["mfu"] = report.throughput->mfu * ratio(report.whole_time(), report.ranked_time());
    row["times_as_long"] = times_as_long(report, best_that_fits(comparison));
    row["exposed_comm_ns"] = mean(report, &RankReport::exposed_comm);
    row["messages"] = is_mixed(comparison) ? Json(comm_words(report)) : Json();
    out.rows.push_back(std::move(row));
  }
  return out;
}

Json comparison_json(const Comparison& comparison) {
  Json json = {
      {"results", Json::array()}, {"skipped", Json::array()}, {"verdict", verdict(comparison)}};
  if (comparison.limit.bytes)
    json["memory_limit_bytes"] = *comparison.limit.bytes;
  for (const Report& report : comparison.results) {
    json["results"].push_back(report_json(report));
    add_fits(json["results"].back(), report, comparison.limit);
  }
  for (const Skipped& skipped : comparison.skipped)
    json["skipped"].push_back({{"schedule", skipped.schedule}, {"reason", skipped.reason}});
  return json;
}

/// "searched v-auto: its step is 0.45 % above the lower bound, 1.234 ms"
std::string search_words(const Report& report, const TimeUnit& unit) {
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

Document document(const Comparison& comparison) {
  const Time unit = longest(comparison);
  Document page(unit);
  page.title(title(comparison), Emphasis::None);
  page.table(table(comparison));
  page.skipped(comparison.skipped);
  for (const Report& report : comparison.results)
    if (report.search)
      page.line(search_words(report, TimeUnit::fit(unit)), Emphasis::Faint);
  page.verdict(verdict(comparison));
  return page;
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
  if (comparison.results.empty())
    return "none: no schedule can run with this shape";
  if (fitting.empty())
    return nearest(comparison);
  const Report& best = *fitting.front();
  const TimeUnit unit = TimeUnit::fit(longest(comparison));
  std::string text = fmt::format(
      "{}, {} {}{}", name(comparison, best), unit.format(best.ranked_time()),
      best.iteration ? "an iteration" : "a step", best.noise ? " in the median with noise" : "");
  if (fitting.size() > 1)
    text += ": " + reason(comparison, best, *fitting[1], unit);
  text += fmt::format("; it holds {}", memory_words(best));
  const Report& fastest = comparison.results.front();
  if (&fastest != &best)
    text += fmt::format(
        "; {} takes {} but does not fit", name(comparison, fastest),
        fastest.ranked_time() == best.ranked_time() ? "as long" : less_time(fastest, best));
  const auto lighter = std::find_if(fitting.begin(), fitting.end(), [&](const Report* report) {
    return report->weight_copies < best.weight_copies;
  });
  if (lighter != fitting.end())
    text +=
        fmt::format("; the best with {} is {}, {} more time",
                    (*lighter)->weight_copies == 1 ? "one copy" : "fewer copies",
                    name(comparison, **lighter), short_percent(times_as_long(**lighter, best) - 1));
  return text;
}

std::string compare_view(const Comparison& comparison, const Style& style) {
  return render(
      style, [&] { return document(comparison); }, [&] { return comparison_json(comparison); },
      [&] {
        Rows rows;
        for (const Report& report : comparison.results)
          add_fits(rows.emplace_back(summary_json(report)), report, comparison.limit);
        return rows;
      });
}

}  // namespace bubblescope

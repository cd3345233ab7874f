#include "analysis/views/simulate_view.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"
#include "analysis/views/report_json.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using Align = Column::Align;

std::string memory(const std::optional<Bytes>& bytes) {
  return bytes ? format_bytes(*bytes) : std::string("unknown");
}

/// "rank 0 once 0F15 starts, at 180.000 ms: weights 14.0 GiB, activations 24.0 GiB"
std::string peak_words(const Report& report, const TimeUnit& unit) {
  const auto most = std::max_element(
      report.per_rank.begin(), report.per_rank.end(),
      [](const RankReport& a, const RankReport& b) { return a.peak_memory() < b.peak_memory(); });
  const MemoryPeak& peak = *most->peak;
  const std::string moment =
      peak.activations > 0
          ? fmt::format(" once {} starts, at {}", to_string(peak.action), unit.format(peak.at))
          : "";
  return fmt::format("rank {}{}: weights {}, activations {}", most->rank, moment,
                     format_bytes(peak.weights), format_bytes(peak.activations));
}

Table summary_table(const Report& report, const MemoryLimit& limit) {
  const TimeUnit unit = TimeUnit::fit(report.step_time);
  Table table = {
      {{"figure", Align::Left}, {"value"}, {"meaning", Align::Left}},
      {{{"step time", unit.format(report.step_time), "last end − first start"}},
       {{"bubble_fraction", format_percent(report.bubble_fraction),
         "idle time / (ranks × step time)"}},
       {{"bubble_overhead", format_percent(report.bubble_overhead), "idle time / busy time"}},
       {{"span_bubble", format_percent(report.span_bubble),
         "largest over ranks of (span − busy) / span"}},
       {{"live activations", std::to_string(report.peak_live_activations),
         fmt::format("most on one rank, {:g} × a p-th of the model",
                     report.peak_activation_share)}},
       {{"weight copies", std::to_string(report.weight_copies), "of the model, over all ranks"}},
       {{"peak memory", memory(report.peak_memory),
         report.peak_memory ? peak_words(report, unit) : "the costs do not tell all sizes"}}}};
  if (report.iteration) {
    const IterationReport& iteration = *report.iteration;
    table.rows.push_back({{"iteration", unit.format(iteration.time),
                           iteration.options.sync == OptimizerSync::Global
                               ? "the step, gradients reduced, weights updated"
                               : "the longest of a rank, from its start to its weights' update"}});
    table.rows.push_back({{"exposed reduction", unit.format(iteration.exposed_reduce),
                           "most on one rank, of gradients, after its last action"}});
  }
  if (report.throughput) {
    const char* time = report.iteration ? "iteration" : "step time";
    table.rows.push_back(
        {{"tokens a second", fmt::format("{:.0f}", report.throughput->tokens_per_second),
          fmt::format("over all GPUs, by the {}", time)}});
    table.rows.push_back(
        {{"MFU", format_percent(report.throughput->mfu),
          fmt::format("the model's FLOPs, none made again / (GPUs × peak × {})", time)}});
  }
  if (limit.is_given())
    table.rows.push_back(
        {{"fits", fits(report, limit) ? "yes" : "no", "within " + limit_words(limit)}});
  if (report.search) {
    const SearchFigures& search = *report.search;
    const std::string assumed = search_assumption(report);
    table.rows.push_back(
        {{"lower bound", unit.format(search.bound()),
          fmt::format("on the {}{}: the most of work {}, drain {}, critical path {}, memory {}",
                      search.objective == Objective::Step ? "step time" : "widest span",
                      assumed.empty() ? "" : " with " + assumed, unit.format(search.work_bound),
                      unit.format(search.drain_bound), unit.format(search.critical_path_bound),
                      unit.format(search.memory_bound))}});
    table.rows.push_back({{"above the bound", format_percent(search.above_bound()),
                           !search.is_at_bound() ? "a better schedule may exist"
                           : assumed.empty()     ? "at the bound: nothing is better"
                                                 : "at the bound with " + assumed}});
  }
  return table;
}

Table rank_table(const Report& report) {
  const TimeUnit unit = TimeUnit::fit(report.step_time);
  Table table{{{"rank"}, {"busy"}, {"idle"}, {"span"}, {"exposed\ncomm"}, {"live\nactivations"}}};
  if (report.peak_memory)
    table.columns.push_back({"peak\nmemory"});
  for (const RankReport& rank : report.per_rank) {
    table.rows.push_back(
        {{std::to_string(rank.rank), unit.format(rank.busy), unit.format(rank.idle),
          unit.format(rank.span), unit.format(rank.exposed_comm),
          std::to_string(rank.peak_live_activations)}});
    if (report.peak_memory)
      table.rows.back().cells.push_back(memory(rank.peak_memory()));
  }
  return table;
}

/// Broken at the blank nearest to its middle.
std::string in_two_lines(std::string text) {
  const auto off = [&](std::size_t place) {
    return std::abs(2 * static_cast<std::ptrdiff_t>(place) -
                    static_cast<std::ptrdiff_t>(text.size()));
  };
  std::size_t best = text.find(' ');
  for (std::size_t place = best; place != std::string::npos; place = text.find(' ', place + 1))
    if (off(place) < off(best))
      best = place;
  if (best != std::string::npos)
    text[best] = '\n';
  return text;
}

Table noise_table(const Report& report) {
  const NoiseReport& noise = *report.noise;
  const Percentiles& longest = noise.iteration.value_or(noise.step_time);
  const TimeUnit unit = TimeUnit::fit(Time(std::llround(longest.max)));
  Table table{{{"with noise", Align::Left},
               {"none"},
               {"mean"},
               {"p5"},
               {"p50"},
               {"p95"},
               {"p99"},
               {"most"}}};
  const auto add = [&](const char* figure, const std::string& calm, const Percentiles& values,
                       auto&& format) {
    Table::Row row{{figure, calm}};
    for (const double value :
         {values.mean, values.p5, values.p50, values.p95, values.p99, values.max})
      row.cells.push_back(format(value));
    table.rows.push_back(std::move(row));
  };
  const auto time = [&](double ns) { return unit.format(Time(std::llround(ns))); };
  add("step time", unit.format(report.step_time), noise.step_time, time);
  if (noise.iteration && report.iteration)
    add("iteration", unit.format(report.iteration->time), *noise.iteration, time);
  add("bubble_fraction", format_percent(report.bubble_fraction), noise.bubble_fraction,
      format_percent);
  return table;
}

/// Ranks, the one that hurts most first.
Table critical_table(const NoiseReport& noise) {
  Table table{{{"rank"}, {"of the\ncritical path"}}};
  std::vector<std::size_t> ranks(noise.critical_share.size());
  std::iota(ranks.begin(), ranks.end(), std::size_t{0});
  std::stable_sort(ranks.begin(), ranks.end(), [&](std::size_t a, std::size_t b) {
    return noise.critical_share[a] > noise.critical_share[b];
  });
  for (const std::size_t rank : ranks)
    table.rows.push_back({{std::to_string(rank), format_percent(noise.critical_share[rank])}});
  return table;
}

/// "1,000 steps with noise, seed 1: rank 3 hurts most, 42.00 % of the critical path is its own"
std::string noise_words(const NoiseReport& noise) {
  const auto most = std::max_element(noise.critical_share.begin(), noise.critical_share.end());
  return fmt::format(
      "{} step{} with noise, seed {}; rank {} hurts most: one percent off its actions takes "
      "{:.2f} % off the step",
      noise.options.samples, noise.options.samples == 1 ? "" : "s", noise.options.seed,
      most - noise.critical_share.begin(), *most);
}

}  // namespace

Table waiting_table(const Report& report) {
  const TimeUnit unit = TimeUnit::fit(report.step_time);
  Table table{{{"rank"}, {"idle"}}};
  for (const RankReport& rank : report.per_rank)
    table.rows.push_back({{std::to_string(rank.rank), unit.format(rank.idle)}});
  for (std::size_t number = 0; number < kBubbleCauses; ++number) {
    const auto cause = static_cast<BubbleCause>(number);
    const bool is_common = cause == BubbleCause::WarmUp || cause == BubbleCause::Dependency ||
                           cause == BubbleCause::Message || cause == BubbleCause::Drain;
    const auto occurs = [&](const RankReport& rank) {
      return rank.idle_by_cause[number] != Time::zero();
    };
    if (!is_common && std::none_of(report.per_rank.begin(), report.per_rank.end(), occurs))
      continue;
    table.columns.push_back({in_two_lines(cause_name(cause))});
    for (std::size_t rank = 0; rank < report.per_rank.size(); ++rank)
      table.rows[rank].cells.push_back(unit.format(report.per_rank[rank].idle_by_cause[number]));
  }
  return table;
}

void add_figures(Page& page, const Report& report, const MemoryLimit& limit) {
  page.table(summary_table(report, limit));
  page.table(rank_table(report));
  page.table(waiting_table(report));
  if (!report.links.empty())
    page.table(link_table(report.links, TimeUnit::fit(report.step_time)));
  if (report.noise) {
    page.table(noise_table(report));
    page.table(critical_table(*report.noise));
    page.blank_line();
    page.line(noise_words(*report.noise));
  }
}

std::string simulate_view(const Report& report, const MemoryLimit& limit, Format format,
                          Color color) {
  if (format == Format::Json) {
    auto json = report_json(report);
    json["fits"] = limit.is_given() ? nlohmann::ordered_json(fits(report, limit)) : nullptr;
    if (limit.bytes)
      json["memory_limit_bytes"] = *limit.bytes;
    return dump_json(json, 2) + "\n";
  }
  if (format == Format::Csv) {
    std::vector<nlohmann::ordered_json> rows;
    for (std::size_t rank = 0; rank < report.per_rank.size(); ++rank)
      rows.push_back(rank_json(report, rank));
    return to_csv(rows);
  }
  Page page(format, color);
  page.title(report.schedule + ": " + setting(report));
  add_figures(page, report, limit);
  return page.text();
}

}  // namespace bubblescope

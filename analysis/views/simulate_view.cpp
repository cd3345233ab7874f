#include "analysis/views/simulate_view.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/views/report_json.h"

namespace bubblescope {
namespace {

/// "rank 0 once 0F15 starts, at 180.000 ms: weights 14.0 GiB, activations 24.0 GiB"
std::string peak_words(const Report& report) {
  if (!report.peak_memory)
    return "the costs give no sizes";
  const auto most = std::max_element(
      report.per_rank.begin(), report.per_rank.end(),
      [](const RankReport& a, const RankReport& b) { return a.peak_memory() < b.peak_memory(); });
  const MemoryPeak& peak = *most->peak;
  std::string words = fmt::format("rank {}", most->rank);
  if (peak.activations > 0)
    words += fmt::format(" once {} starts, at {}", to_string(peak.action),
                         TimeUnit::fit(report.step_time).format(peak.at));
  return words + fmt::format(": weights {}, activations {}", format_bytes(peak.weights),
                             format_bytes(peak.activations));
}

/// What the lower bound is the most of.
std::string bound_words(const SearchFigures& search, const std::string& assumed,
                        const TimeUnit& unit) {
  return fmt::format("{}{}: largest of work {}, drain {}, critical path {}, memory {}",
                     search.objective == Objective::Step ? "step time" : "widest span",
                     assumed.empty() ? "" : ", " + assumed, unit.format(search.work_bound),
                     unit.format(search.drain_bound), unit.format(search.critical_path_bound),
                     unit.format(search.memory_bound));
}

std::string above_words(const SearchFigures& search, const std::string& assumed) {
  if (!search.is_at_bound())
    return "a better schedule may exist";
  return assumed.empty() ? "at the bound: nothing is better" : "at the bound with " + assumed;
}

void add_summary(Document& page, const Report& report, const MemoryLimit& limit) {
  Json values = summary_json(report);
  add_fits(values, report, limit);
  if (!report.peak_memory)
    values["peak_memory_bytes"] = "unknown";
  const bool is_global =
      report.iteration && report.iteration->options.sync == OptimizerSync::Global;
  const char* time = report.iteration ? "iteration" : "step time";
  std::vector<Figure> figures = {
      {{"step_time_ns"}, "last end − first start"},
      {{"bubble_fraction", "bubble_fraction", percent}, "idle time / (ranks × step time)"},
      {{"bubble_overhead", "bubble_overhead", percent, Show::OnRequest}, "idle time / busy time"},
      {{"span_bubble", "span_bubble", percent, Show::OnRequest},
       "largest over ranks of (span − busy) / span"},
      {{"peak_live_activations", "live activations"},
       report.chunks == 1 ? "most on one rank"
                          : fmt::format("most on one rank, as much as {:g} in-flight micro-batches",
                                        report.peak_activation_share)},
      {{"weight_copies"}, "of the model, over all ranks"},
      {{"peak_memory_bytes"}, peak_words(report)},
      {{"device_memory_bytes"}, "with context, NCCL and the allocator's rest: what has to fit"},
      {{"iteration_time_ns", "iteration"},
       is_global ? "the step, gradients reduced, weights updated"
                 : "the longest of a rank, from its start to its weights' update"},
      {{"exposed_grad_reduce_ns", "exposed reduction"},
       "most on one rank, of gradients, after its last action"},
      {{"tokens_per_second", "",
        [](const Json& value) { return fmt::format("{:.0f}", value.get<double>()); }},
       fmt::format("over all GPUs, by the {}", time)},
      {{"mfu", "MFU", percent},
       fmt::format("FLOPs of the model, without recomputation / (GPUs × peak × {})", time)},
      {{"mfu_full_attention", "MFU, full attention", percent},
       "counting the whole square of scores, as most publications do"},
      {{"fits"}, limit.is_given() ? "within " + limit_words(limit) : ""}};
  if (report.search) {
    const std::string assumed = search_assumption(report);
    values["above_bound"] = report.search->above_bound();
    figures.push_back({{"lower_bound_ns"},
                       bound_words(*report.search, assumed, TimeUnit::fit(report.step_time))});
    figures.push_back(
        {{"above_bound", "above the bound", percent}, above_words(*report.search, assumed)});
  }
  page.figures(std::move(values), std::move(figures));
}

Json noise_row(const char* figure, const Json& calm, const Percentiles& values, const Cell& cell) {
  return {{"with noise", figure},    {"none", cell(calm)},      {"mean", cell(values.mean)},
          {"p5", cell(values.p5)},   {"p50", cell(values.p50)}, {"p95", cell(values.p95)},
          {"p99", cell(values.p99)}, {"most", cell(values.max)}};
}

/// How steps differ, and ranks, the one that hurts most first.
void add_noise(Document& page, const Report& report) {
  const NoiseReport& noise = *report.noise;
  const TimeUnit unit = TimeUnit::fit(Time(std::llround(report.noisy_time()->max)));
  const Cell time = [&](const Json& ns) {
    return unit.format(Time(std::llround(ns.get<double>())));
  };
  Table steps{"", {{"with noise"}}};
  for (const char* key : {"none", "mean", "p5", "p50", "p95", "p99", "most"})
    steps.columns.push_back({key, "", as_it_is});
  steps.rows = {noise_row("step time", report.step_time.count(), noise.step_time, time)};
  if (noise.iteration && report.iteration)
    steps.rows.push_back(
        noise_row("iteration", report.iteration->time.count(), *noise.iteration, time));
  steps.rows.push_back(
      noise_row("bubble_fraction", report.bubble_fraction, noise.bubble_fraction, percent));
  page.table(std::move(steps));
  Table ranks{"rank", {{"rank"}, {"critical_share", "of the critical path", percent}}};
  ranks.rows = rank_rows(report);
  std::stable_sort(ranks.rows.begin(), ranks.rows.end(), [](const Json& a, const Json& b) {
    return a["critical_share"] > b["critical_share"];
  });
  const Json most = ranks.rows.front();
  page.table(std::move(ranks));
  page.line(fmt::format(
      "{} step{} with noise, seed {}; rank {} hurts most: one percent off its actions takes "
      "{:.2f} % off the step",
      noise.options.samples, noise.options.samples == 1 ? "" : "s", noise.options.seed,
      most["rank"].get<int>(), most["critical_share"].get<double>()));
}

}  // namespace

Table waiting_table(const Report& report) {
  Table table{"rank", {{"rank"}, {"idle_ns"}}};
  for (const RankReport& rank : report.per_rank)
    table.rows.push_back({{"rank", rank.rank}, {"idle_ns", rank.idle}});
  for (std::size_t cause = 0; cause < kBubbleCauses; ++cause) {
    const auto& ranks = report.per_rank;
    if (std::none_of(ranks.begin(), ranks.end(), [&](const RankReport& rank) {
          return rank.idle_by_cause[cause] > Time::zero();
        }))
      continue;
    const auto each = static_cast<BubbleCause>(cause);
    table.columns.push_back({cause_column(each), cause_name(each)});
    for (std::size_t rank = 0; rank < ranks.size(); ++rank)
      table.rows[rank][table.columns.back().key] = ranks[rank].idle_by_cause[cause];
  }
  return table;
}

void add_figures(Document& page, const Report& report, const MemoryLimit& limit) {
  add_summary(page, report, limit);
  page.table({"rank",
              {{"rank"},
               {"busy_ns"},
               {"span_ns"},
               {"exposed_comm_ns"},
               {"peak_live_activations", "live activations"},
               {"peak_memory_bytes"}},
              rank_rows(report)});
  page.table(waiting_table(report));
  page.table({"link",
              {{"link"},
               {"bytes", "", [](const Json& size) { return format_bytes(size.get<Bytes>()); }},
               {"busy_ns"},
               {"contention_ns"}},
              link_rows(report)});
  if (report.noise)
    add_noise(page, report);
}

std::string simulate_view(const Report& report, const MemoryLimit& limit, const Style& style) {
  return render(
      style,
      [&] {
        Document page(report.step_time);
        page.title(report.schedule + ": " + setting(report));
        add_figures(page, report, limit);
        return page;
      },
      [&] {
        Json json = report_json(report);
        add_fits(json, report, limit);
        if (limit.bytes)
          json["memory_limit_bytes"] = *limit.bytes;
        return json;
      },
      [&] { return rank_rows(report); });
}

}  // namespace bubblescope

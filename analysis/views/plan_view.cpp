#include "analysis/views/plan_view.h"

#include <utility>

#include <fmt/format.h>

#include "analysis/views/document.h"

namespace bubblescope {
namespace {

/// "41,230"
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  constexpr std::size_t kGroup = 3;
  for (std::size_t place = text.size(); place > kGroup; place -= kGroup)
    text.insert(place - kGroup, ",");
  return text;
}

std::string grouped_cell(const Json& value) {
  return grouped(static_cast<std::uint64_t>(value.get<double>()));
}

std::string days_cell(const Json& value) {
  return fmt::format("{:.1f}", value.get<double>());
}

Table plan_table(const Rows& rows, bool is_best_first) {
  Table table{"row",
              {{"schedule"},
               {"iteration_time_ns", "iteration", {}, Show::Always},
               {"tokens_per_second", "tokens/s", grouped_cell, Show::Always},
               {"mfu", "MFU", percent, Show::Always},
               {"bubble_fraction", "bubble", percent, Show::IfRoom},
               {"device_memory_bytes", "memory", {}, Show::Always},
               {"weight_bytes", "weights", {}, Show::IfRoom},
               {"activation_bytes", "activations", {}, Show::IfRoom},
               {"exposed_comm_ns", "exposed comm", {}, Show::IfRoom},
               {"peak_memory_bytes", "", {}, Show::OnRequest},
               {"mfu_full_attention", "", percent, Show::OnRequest},
               {"tp"},
               {"cp"},
               {"pp"},
               {"ep"},
               {"dp"},
               {"chunks", "v"},
               {"microbatch_size", "micro-batch"},
               {"microbatches", "m", {}, Show::IfRoom},
               {"recompute"},
               {"layout", "", {}, Show::OnRequest},
               {"days", "", days_cell},
               {"cost", "", grouped_cell},
               {"ties_with_best", "", {}, Show::OnRequest},
               {"command", "", {}, Show::OnRequest}}};
  table.rows = rows;
  if (is_best_first && !rows.empty())
    table.emphasis = {Emphasis::Strong};
  return table;
}

/// Picks the fastest of a front, and then each that takes a tenth less memory than the one before.
Rows thinned(const Rows& front) {
  constexpr double kStep = 0.9;
  Rows rows;
  double last = 0;
  for (const Json& row : front) {
    const auto memory = row["peak_memory_bytes"].get<double>();
    if (!rows.empty() && memory > kStep * last)
      continue;
    rows.push_back(row);
    last = memory;
  }
  return rows;
}

Document document(const PlanPage& page) {
  Document document;
  document.title(page.title.front(), Emphasis::None);
  for (std::size_t i = 1; i < page.title.size(); ++i)
    document.line(page.title[i]);
  document.table(plan_table(page.results, true));
  if (!page.finalists.empty()) {
    document.title("made for the best divisions", Emphasis::None);
    document.table(plan_table(page.finalists, false));
  }
  if (page.front.size() > 1) {
    document.title("no configuration takes less time and less memory than these", Emphasis::None);
    document.table(plan_table(thinned(page.front), false));
  }
  for (const std::string& note : page.notes)
    document.line(note);
  document.verdict(plan_verdict(page.counts, page.is_interrupted));
  return document;
}

Json plan_json(const PlanPage& page) {
  return {{"results", page.results},
          {"pareto", page.front},
          {"with_more_memory", page.beyond},
          {"simplest", page.simplest},
          {"ties", page.ties},
          {"tie_percent", page.tie_percent},
          {"finalists", page.finalists},
          {"opened", page.opened},
          {"configurations", page.counts.configurations},
          {"simulated", page.counts.simulated},
          {"excluded_by_bound", page.counts.excluded},
          {"infeasible", page.counts.infeasible},
          {"complete", page.counts.is_complete() && !page.is_interrupted},
          {"notes", page.notes},
          {"verdict", plan_verdict(page.counts, page.is_interrupted)}};
}

}  // namespace

std::string plan_verdict(const PlanCounts& counts, bool is_interrupted) {
  std::string text =
      fmt::format("best of {} configuration{}: {} simulated, {} excluded by bounds, {} do not fit",
                  grouped(counts.configurations), counts.configurations == 1 ? "" : "s",
                  grouped(counts.simulated), grouped(counts.excluded), grouped(counts.infeasible));
  if (!counts.is_complete())
    text += fmt::format(
        "; not the whole: {} were left when it was interrupted",
        grouped(counts.configurations - counts.simulated - counts.excluded - counts.infeasible));
  else if (is_interrupted)
    text += "; interrupted before all was looked at";
  return text;
}

std::string plan_view(const PlanPage& page, const Style& style) {
  return render(
      style, [&] { return document(page); }, [&] { return plan_json(page); },
      [&] { return page.results; });
}

}  // namespace bubblescope

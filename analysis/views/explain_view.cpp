#include "analysis/views/explain_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/explain/offenders.h"
#include "analysis/views/explain_json.h"
#include "analysis/views/page.h"
#include "analysis/views/simulate_view.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using Align = Column::Align;

constexpr std::size_t kMostOffenders = 10;
constexpr std::size_t kMostInChain = 6;
constexpr std::size_t kMostStretches = 24;

/// Ranks whose idle time is the same sum.
struct RanksAlike {
  LinearForm form;
  std::vector<std::size_t> ranks;
};

std::vector<RanksAlike> ranks_by_idle(const Explanation& why) {
  std::vector<RanksAlike> groups;
  for (std::size_t rank = 0; rank < why.idle.size(); ++rank) {
    const LinearForm form = told_form(why, why.idle[rank]);
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const RanksAlike& group) { return group.form == form; });
    if (same == groups.end())
      groups.push_back({form, {rank}});
    else
      same->ranks.push_back(rank);
  }
  return groups;
}

/// "on every rank", "on ranks 0, 2–5"
std::string rank_words(const std::vector<std::size_t>& ranks, std::size_t of) {
  if (ranks.size() == of)
    return "on every rank";
  std::string words = ranks.size() == 1 ? "on rank" : "on ranks";
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const std::size_t first = i;
    while (i + 1 < ranks.size() && ranks[i + 1] == ranks[i] + 1)
      ++i;
    words += fmt::format("{} {}", first == 0 ? "" : ",", ranks[first]);
    if (i > first)
      words += fmt::format("–{}", ranks[i]);
  }
  return words;
}

/// The step and idle times as sums, and where these hold.
Table form_table(const Analysis& step, const Explanation& why) {
  const TimeUnit unit = TimeUnit::fit(why.step_time);
  Table table{{{"", Align::Left}, {"time"}, {"made of", Align::Left}}};
  const auto row = [&](const char* what, Time time, const std::string& words) {
    table.rows.push_back({{what, unit.format(time), words}});
  };
  if (!why.costs) {
    row("step time", why.step_time,
        step.graph.costs().shares_links()
            ? "messages slow one another down, so that no sum of costs holds elsewhere"
            : "costs of one kind differ, so that only the times below add up");
    return table;
  }
  row("step time", why.step_time, to_text(told_form(why, why.form)));
  const char* title = "idle";
  for (const RanksAlike& alike : ranks_by_idle(why)) {
    row(title, step.report.per_rank[alike.ranks.front()].idle,
        to_text(alike.form) + " " + rank_words(alike.ranks, why.idle.size()));
    title = "";
  }
  table.rows.push_back(
      {{"holds", "", why.region ? region_words(*why.region) : "not looked for in steps of hours"}});
  return table;
}

Table cost_table(const Explanation& why) {
  const TimeUnit unit = TimeUnit::fit(why.step_time);
  Time longest{};
  Time most_saved{};
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    longest = std::max(longest, Time(why.costs ? (*why.costs)[kind] : 0));
  for (const Lever& lever : why.levers)
    most_saved = std::max(most_saved, Time(std::llround(lever.saved_ns)));
  const TimeUnit unit_of_one = TimeUnit::fit(longest);
  const TimeUnit unit_saved = TimeUnit::fit(most_saved);
  const bool has_levers = !why.levers.empty();
  Table table{{{"cost", Align::Left}, {"each"}, {"on the\npath"}, {"time"}, {"share"}}};
  if (has_levers)
    table.columns.insert(table.columns.end(), {{"holds from"}, {"to"}, {"1 % less\nsaves"}});
  for (std::size_t kind = 0; kind < kCostKinds; ++kind) {
    const auto lever = std::find_if(why.levers.begin(), why.levers.end(),
                                    [&](const Lever& each) { return index(each.kind) == kind; });
    if (why.form[kind] == 0 && lever == why.levers.end())
      continue;
    const auto each = [&] {
      return why.costs ? unit_of_one.format(Time((*why.costs)[kind])) : std::string("differs");
    };
    table.rows.push_back(
        {{kCostNames[kind], each(), std::to_string(why.form[kind]), unit.format(why.on_path[kind]),
          format_percent(static_cast<double>(why.on_path[kind].count()) /
                         static_cast<double>(std::max<std::int64_t>(1, why.step_time.count())))}});
    auto& cells = table.rows.back().cells;
    if (lever != why.levers.end()) {
      const auto end = [&](std::int64_t at) {
        return why.costs ? unit_of_one.format(Time(at))
                         : fmt::format("{:.1f} %", static_cast<double>(at) / 10);
      };
      cells.push_back(end(lever->range.least));
      cells.push_back((lever->range.is_open ? "≥ " : "") + end(lever->range.most));
      cells.push_back(unit_saved.format(Time(std::llround(lever->saved_ns))));
    } else if (has_levers) {
      cells.insert(cells.end(), {"as I and W", "", ""});
    }
  }
  return table;
}

Table offender_table(const Analysis& step, const Explanation& why) {
  const auto all = offenders(step.graph, step.bubbles());
  const TimeUnit unit = TimeUnit::fit(why.step_time);
  Time idle{};
  for (const Offender& offender : all)
    idle += offender.idle;
  Table table{{{"idle time"}, {"of all"}, {"what keeps it waiting", Align::Left}}};
  for (std::size_t i = 0; i < std::min(all.size(), kMostOffenders); ++i) {
    const Bubble& longest = all[i].longest;
    std::string words = offender_words(step.graph, all[i]);
    const auto chain = chain_behind(step.timeline, step.tree(), longest, kMostInChain);
    std::string behind;
    for (const NodeId node : chain)
      behind += " ← " + node_name(step.graph, node, Naming::Short);
    if (!behind.empty())
      words += fmt::format("; {}{}{}",
                           blocker_name(step.graph, longest, longest.blocking, Naming::Short),
                           behind, chain.size() == kMostInChain ? " ← …" : "");
    table.rows.push_back({{unit.format(all[i].idle),
                           format_percent(static_cast<double>(all[i].idle.count()) /
                                          static_cast<double>(idle.count())),
                           words}});
  }
  if (all.size() > kMostOffenders)
    table.rows.push_back(
        {{"", "", fmt::format("and {} more", all.size() - kMostOffenders)}, Emphasis::Faint});
  return table;
}

/// Actions in turn on one rank: "rank 7 from 70.000 µs: 7F0 … 7B31 (64)".
Table path_table(const Analysis& step, const Explanation& why) {
  struct Stretch {
    NodeId first;
    NodeId last;
    std::size_t count;
  };
  std::vector<Stretch> stretches;
  const auto rank = [&](NodeId node) { return step.graph.rank()[node]; };
  for (const NodeId node : step.path().nodes) {
    if (step.graph.is_message(node))
      continue;
    if (stretches.empty() || rank(stretches.back().last) != rank(node))
      stretches.push_back({node, node, 0});
    stretches.back().last = node;
    ++stretches.back().count;
  }
  const TimeUnit unit = TimeUnit::fit(why.step_time);
  Table table{{{"critical\npath"}, {"rank"}, {"actions"}, {"", Align::Left}}};
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    if (stretches.size() > kMostStretches && i == kMostStretches / 2) {
      const std::size_t left_out = stretches.size() - kMostStretches;
      table.rows.push_back(
          {{"", "", "", fmt::format("… {} more stretches …", left_out)}, Emphasis::Faint});
      i += left_out;
    }
    const auto& [first, last, count] = stretches[i];
    const char* between = count > 2 ? " … " : count == 2 ? " " : "";
    table.rows.push_back(
        {{unit.format(step.timeline.spans[first].start), std::to_string(rank(first)),
          std::to_string(count),
          node_name(step.graph, first, Naming::Short) + between +
              (count > 1 ? node_name(step.graph, last, Naming::Short) : std::string())}});
  }
  return table;
}

/// After the step: what data parallelism makes a rank wait for.
Table synchronisation_table(const Report& report) {
  const IterationReport& iteration = *report.iteration;
  const TimeUnit unit = TimeUnit::fit(iteration.time);
  Table table{
      {{"rank"}, {"gradients\nreduced"}, {"data-parallel\nsynchronisation"}, {"weights\nupdated"}}};
  Time all_reduced{};
  for (const IterationEnd& rank : iteration.per_rank)
    all_reduced = std::max(all_reduced, rank.reduced);
  const bool is_global = iteration.options.sync == OptimizerSync::Global;
  for (std::size_t rank = 0; rank < iteration.per_rank.size(); ++rank) {
    const IterationEnd& end = iteration.per_rank[rank];
    table.rows.push_back({{std::to_string(rank), unit.format(end.reduced),
                           unit.format(is_global ? all_reduced - end.reduced : Time{}),
                           unit.format(end.optimized)}});
  }
  return table;
}

/// A row for each idle interval; the header alone if there is none.
std::string idle_csv(const std::vector<nlohmann::ordered_json>& rows) {
  constexpr const char* kHeader = "rank,start_ns,end_ns,cause,waiting,blocked_by,chain\r\n";
  return rows.empty() ? kHeader : to_csv(rows);
}

}  // namespace

std::string explain_view(const Analysis& step, Format format, Color color) {
  const Explanation why = explain(step.graph, step.timeline, step.path());
  if (format == Format::Json)
    return dump_json(explain_json(step, why), 2) + "\n";
  if (format == Format::Csv)
    return idle_csv(idle_json(step));
  Page page(format, color);
  page.title(step.report.schedule + ": " + setting(step.report));
  page.table(form_table(step, why));
  page.table(cost_table(why));
  page.table(waiting_table(step.report));
  page.table(offender_table(step, why));
  page.table(path_table(step, why));
  if (step.report.iteration)
    page.table(synchronisation_table(step.report));
  return page.text();
}

}  // namespace bubblescope

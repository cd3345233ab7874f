#include "analysis/views/explain_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/explain/blockers.h"
#include "analysis/explain/explanation.h"
#include "analysis/explain/offenders.h"
#include "analysis/views/report_json.h"
#include "analysis/views/simulate_view.h"

namespace bubblescope {
namespace {

constexpr std::size_t kLongestChain = 16;  // in JSON and CSV
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
  Table table{"", {{"what", " "}, {"time_ns"}, {"made of"}}};
  const auto add = [&](const char* what, const Json& time, const std::string& words) {
    table.rows.push_back({{"what", what}, {"time_ns", time}, {"made of", words}});
  };
  if (!why.costs) {
    add("step time", why.step_time,
        step.graph.costs().shares_links()
            ? "messages slow one another down, so that no sum of costs holds elsewhere"
            : "costs of one kind differ, so that only the times below add up");
    return table;
  }
  add("step time", why.step_time, to_text(told_form(why, why.form)));
  for (const RanksAlike& alike : ranks_by_idle(why))
    add(table.rows.size() == 1 ? "idle" : "", step.report.per_rank[alike.ranks.front()].idle,
        to_text(alike.form) + " " + rank_words(alike.ranks, why.idle.size()));
  add("holds", nullptr,
      why.region ? region_words(*why.region) : "not looked for in steps of hours");
  return table;
}

Table cost_table(const Explanation& why) {
  Time longest{};
  Time most_saved{};
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    longest = std::max(longest, Time(why.costs ? (*why.costs)[kind] : 0));
  for (const Lever& lever : why.levers)
    most_saved = std::max(most_saved, Time(std::llround(lever.saved_ns)));
  const auto in = [](Time most) -> Cell {
    return [unit = TimeUnit::fit(most)](const Json& ns) {
      return unit.format(Time(std::llround(ns.get<double>())));
    };
  };
  const Cell one = in(longest);
  const auto end = [&](std::int64_t at) {
    return why.costs ? one(at) : fmt::format("{:.1f} %", static_cast<double>(at) / 10);
  };
  Table table{
      "",
      {{"cost"}, {"each", "", one}, {"count", "on the path"}, {"time_ns"}, {"share", "", percent}}};
  if (!why.levers.empty())
    table.columns.insert(table.columns.end(), {{"holds from", "", as_it_is},
                                               {"to", "", as_it_is},
                                               {"saves", "1 % less saves", in(most_saved)}});
  for (std::size_t kind = 0; kind < kCostKinds; ++kind) {
    const auto lever = std::find_if(why.levers.begin(), why.levers.end(),
                                    [&](const Lever& each) { return index(each.kind) == kind; });
    const bool has_lever = lever != why.levers.end();
    if (why.form[kind] != 0 || has_lever)
      table.rows.push_back(
          {{"cost", kCostNames[kind]},
           {"each", why.costs ? Json((*why.costs)[kind]) : Json("differs")},
           {"count", why.form[kind]},
           {"time_ns", why.on_path[kind]},
           {"share", ratio(why.on_path[kind], why.step_time)},
           {"holds from", has_lever ? end(lever->range.least) : "as I and W"},
           {"to", has_lever ? (lever->range.is_open ? "≥ " : "") + end(lever->range.most) : ""},
           {"saves", has_lever ? Json(lever->saved_ns) : Json()}});
  }
  return table;
}

Table offender_table(const Analysis& step) {
  const auto all = offenders(step.graph, step.bubbles());
  Time idle{};
  for (const Offender& offender : all)
    idle += offender.idle;
  Table table{
      "",
      {{"idle_ns", "idle time"}, {"share", "of all", percent}, {"words", "what keeps it waiting"}}};
  for (std::size_t i = 0; i < std::min(all.size(), kMostOffenders); ++i) {
    const Bubble& longest = all[i].longest;
    std::string words = offender_words(step.graph, all[i]);
    const auto chain = chain_behind(step.timeline, step.tree(), longest, kMostInChain);
    if (!chain.empty())
      words += "; " + blocker_name(step.graph, longest, longest.blocking, Naming::Short);
    for (const NodeId node : chain)
      words += " ← " + node_name(step.graph, node, Naming::Short);
    table.rows.push_back({{"idle_ns", all[i].idle},
                          {"share", ratio(all[i].idle, idle)},
                          {"words", words + (chain.size() == kMostInChain ? " ← …" : "")}});
  }
  if (all.size() > kMostOffenders) {
    table.rows.push_back({{"idle_ns", nullptr},
                          {"share", nullptr},
                          {"words", fmt::format("and {} more", all.size() - kMostOffenders)}});
    table.emphasis.resize(table.rows.size());
    table.emphasis.back() = Emphasis::Faint;
  }
  return table;
}

/// Actions in turn on one rank: "rank 7 from 70.000 µs: 7F0 … 7B31 (64)".
Table path_table(const Analysis& step) {
  Table table{"",
              {{"start_ns", "critical path"}, {"rank"}, {"count", "actions"}, {"actions", " "}}};
  std::string first;
  for (const NodeId node : step.path().nodes) {
    if (step.graph.is_message(node))
      continue;
    const Rank rank = step.graph.rank()[node];
    if (table.rows.empty() || table.rows.back()["rank"] != rank) {
      first = node_name(step.graph, node, Naming::Short);
      table.rows.push_back({{"start_ns", step.timeline.spans[node].start},
                            {"rank", rank},
                            {"count", 1},
                            {"actions", first}});
      continue;
    }
    Json& row = table.rows.back();
    row["count"] = row["count"].get<int>() + 1;
    row["actions"] =
        first + (row["count"] == 2 ? " " : " … ") + node_name(step.graph, node, Naming::Short);
  }
  if (const std::size_t count = table.rows.size(); count > kMostStretches) {
    const auto middle = table.rows.begin() + kMostStretches / 2;
    *middle = {{"start_ns", nullptr},
               {"rank", nullptr},
               {"count", nullptr},
               {"actions", fmt::format("… {} more stretches …", count - kMostStretches)}};
    table.rows.erase(middle + 1,
                     middle + 1 + static_cast<std::ptrdiff_t>(count - kMostStretches) - 1);
  }
  return table;
}

Json form_json(const LinearForm& form) {
  Json json;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    json[kCostKeys[kind]] = form[kind];
  return json;
}

Json names(const DependencyGraph& graph, const std::vector<NodeId>& nodes) {
  Json names = Json::array();
  for (const NodeId node : nodes)
    names.push_back(node_name(graph, node, Naming::Token));
  return names;
}

/// `blocked_by` and `chain` are arrays.
Json bubble_json(const Analysis& step, const Blockers& blockers, const Bubble& bubble) {
  Json json = {{"rank", bubble.rank},
               {"start_ns", bubble.span.start},
               {"end_ns", bubble.span.end},
               {"cause", cause_key(bubble.cause)},
               {"waiting", bubble.cause == BubbleCause::Drain
                               ? Json()
                               : Json(node_name(step.graph, bubble.waiting, Naming::Token))},
               {"blocked_by", Json::array()},
               {"chain", names(step.graph,
                               chain_behind(step.timeline, step.tree(), bubble, kLongestChain))}};
  for (const NodeId node : blockers.of(bubble))
    json["blocked_by"].push_back(blocker_name(step.graph, bubble, node, Naming::Token));
  return json;
}

Rows bubble_rows(const Analysis& step) {
  const Blockers blockers(step.graph, step.timeline);
  Rows rows;
  for (const Bubble& bubble : step.bubbles())
    rows.push_back(bubble_json(step, blockers, bubble));
  return rows;
}

Json path_json(const Analysis& step) {
  Json path = Json::array();
  for (const NodeId node : step.path().nodes) {
    const Span& span = step.timeline.spans[node];
    path.push_back({{"action", node_name(step.graph, node, Naming::Token)},
                    {"rank", step.graph.rank()[node]},
                    {"start_ns", span.start},
                    {"end_ns", span.end}});
  }
  return path;
}

Json levers_json(const Explanation& why) {
  Json levers = Json::array();
  for (const Lever& lever : why.levers) {
    Json json = {{"cost", kCostKeys[index(lever.kind)]}, {"one_percent_saves_ns", lever.saved_ns}};
    const auto end = [&](std::int64_t at) {
      return why.costs ? Json(at) : Json(static_cast<double>(at) / 1000);
    };
    const char* unit = why.costs ? "ns" : "factor";
    json[fmt::format("holds_from_{}", unit)] = end(lever.range.least);
    json[fmt::format("holds_to_{}", unit)] = lever.range.is_open ? Json() : end(lever.range.most);
    levers.push_back(std::move(json));
  }
  return levers;
}

Json offenders_json(const Analysis& step) {
  Json list = Json::array();
  for (const Offender& each : offenders(step.graph, step.bubbles()))
    list.push_back({{"rank", each.longest.rank},
                    {"cause", cause_key(each.longest.cause)},
                    {"times", each.times},
                    {"idle_ns", each.idle},
                    {"words", offender_words(step.graph, each)}});
  return list;
}

/// An object a rank: what data parallelism makes it wait for after the step.
Rows synchronisation_rows(const IterationReport& iteration) {
  Rows rows;
  const auto& ranks = iteration.per_rank;
  const auto last = std::max_element(
      ranks.begin(), ranks.end(),
      [](const IterationEnd& a, const IterationEnd& b) { return a.reduced < b.reduced; });
  const bool is_global = iteration.options.sync == OptimizerSync::Global;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank)
    rows.push_back({{"rank", rank},
                    {"start_ns", ranks[rank].reduced},
                    {"end_ns", (is_global ? last->reduced : ranks[rank].reduced)},
                    {"cause", "data_parallel"},
                    {"blocked_by", fmt::format("gradients of rank {}", last - ranks.begin())},
                    {"optimized_ns", ranks[rank].optimized}});
  return rows;
}

/// In a cell of CSV, names stand behind one another with blanks in between.
Rows idle_rows(const Analysis& step) {
  Rows rows = bubble_rows(step);
  for (Json& row : rows)
    for (const char* key : {"blocked_by", "chain"})
      row[key] = fmt::format("{}", fmt::join(row[key].get<std::vector<std::string>>(), ", "));
  return rows;
}

/// All of it; `blocked_by` and `chain` are arrays.
Json explain_json(const Analysis& step, const Explanation& why) {
  Json json = summary_json(step.report);
  json["linear_form"] = form_json(why.form);
  Json on_path;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    on_path[kCostKeys[kind]] = why.on_path[kind].count();
  json["time_on_path_ns"] = std::move(on_path);
  json["costs_ns"] = nullptr;
  json["idle_form"] = Json::array();
  json["region"] = nullptr;
  if (why.costs) {
    json["costs_ns"] = form_json(*why.costs);
    for (const LinearForm& idle : why.idle)
      json["idle_form"].push_back(form_json(idle));
  }
  if (why.region) {
    json["region"] = {{"words", region_words(*why.region)},
                      {"is_exact", why.region->is_exact},
                      {"at_least_0", Json::array()}};
    for (const LinearForm& face : why.region->faces)
      json["region"]["at_least_0"].push_back(form_json(face));
  }
  json["levers"] = levers_json(why);
  json["critical_path"] = path_json(step);
  json["idle"] = bubble_rows(step);
  json["offenders"] = offenders_json(step);
  if (step.report.iteration)
    json["synchronisation"] = synchronisation_rows(*step.report.iteration);
  return json;
}

/// After the step: what data parallelism makes a rank wait for.
Table synchronisation_table(const IterationReport& iteration) {
  Table table{"rank",
              {{"rank"},
               {"start_ns", "gradients reduced"},
               {"waits_ns", "data-parallel synchronisation"},
               {"optimized_ns", "weights updated"}},
              synchronisation_rows(iteration)};
  for (Json& row : table.rows)
    row["waits_ns"] = row["end_ns"].get<std::int64_t>() - row["start_ns"].get<std::int64_t>();
  return table;
}

}  // namespace

std::string explain_view(const Analysis& step, const Style& style) {
  return render(
      style,
      [&] {
        const Explanation why = explain(step.graph, step.timeline, step.path());
        Document page(why.step_time);
        page.title(step.report.schedule + ": " + setting(step.report));
        page.table(form_table(step, why));
        page.table(cost_table(why));
        page.table(waiting_table(step.report));
        page.table(offender_table(step));
        page.table(path_table(step));
        if (step.report.iteration)
          page.table(synchronisation_table(*step.report.iteration));
        return page;
      },
      [&] { return explain_json(step, explain(step.graph, step.timeline, step.path())); },
      [&] { return idle_rows(step); }, "rank,start_ns,end_ns,cause,waiting,blocked_by,chain\r\n");
}

}  // namespace bubblescope

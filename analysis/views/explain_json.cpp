#include "analysis/views/explain_json.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/explain/blockers.h"
#include "analysis/explain/offenders.h"
#include "analysis/views/report_json.h"

namespace bubblescope {

using nlohmann::ordered_json;

namespace {

constexpr std::size_t kLongestChain = 16;

ordered_json form_json(const LinearForm& form) {
  ordered_json json;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    json[kCostKeys[kind]] = form[kind];
  return json;
}

struct NamedBubble {
  const Bubble& bubble;
  std::vector<std::string> blocked_by;
  std::vector<std::string> chain;
};

template <typename Visitor>
void for_each_bubble(const Analysis& step, Visitor&& visit) {
  const Blockers blockers(step.graph, step.timeline);
  for (const Bubble& bubble : step.bubbles()) {
    NamedBubble named{.bubble = bubble, .blocked_by = {}, .chain = {}};
    for (const NodeId node : blockers.of(bubble))
      named.blocked_by.push_back(blocker_name(step.graph, bubble, node, Naming::Token));
    for (const NodeId node : chain_behind(step.timeline, step.tree(), bubble, kLongestChain))
      named.chain.push_back(node_name(step.graph, node, Naming::Token));
    visit(named);
  }
}

ordered_json bubble_json(const Analysis& step, const NamedBubble& named) {
  const Bubble& bubble = named.bubble;
  return {{"rank", bubble.rank},
          {"start_ns", bubble.span.start.count()},
          {"end_ns", bubble.span.end.count()},
          {"cause", cause_key(bubble.cause)},
          {"waiting", bubble.cause == BubbleCause::Drain
                          ? ordered_json(nullptr)
                          : ordered_json(node_name(step.graph, bubble.waiting, Naming::Token))}};
}

ordered_json path_json(const Analysis& step) {
  ordered_json path = ordered_json::array();
  for (const NodeId node : step.path().nodes) {
    const Span& span = step.timeline.spans[node];
    path.push_back({{"action", node_name(step.graph, node, Naming::Token)},
                    {"rank", step.graph.rank()[node]},
                    {"start_ns", span.start.count()},
                    {"end_ns", span.end.count()}});
  }
  return path;
}

ordered_json levers_json(const Explanation& why) {
  ordered_json levers = ordered_json::array();
  for (const Lever& lever : why.levers) {
    ordered_json json = {{"cost", kCostKeys[index(lever.kind)]},
                         {"one_percent_saves_ns", lever.saved_ns}};
    const auto end = [&](std::int64_t at) {
      return why.costs ? ordered_json(at) : ordered_json(static_cast<double>(at) / 1000);
    };
    const char* unit = why.costs ? "ns" : "factor";
    json[fmt::format("holds_from_{}", unit)] = end(lever.range.least);
    json[fmt::format("holds_to_{}", unit)] =
        lever.range.is_open ? ordered_json(nullptr) : end(lever.range.most);
    levers.push_back(std::move(json));
  }
  return levers;
}

/// After the step: what data parallelism makes each rank wait for.
ordered_json synchronisation_json(const IterationReport& iteration) {
  ordered_json list = ordered_json::array();
  const auto& ranks = iteration.per_rank;
  const auto last = std::max_element(
      ranks.begin(), ranks.end(),
      [](const IterationEnd& a, const IterationEnd& b) { return a.reduced < b.reduced; });
  const bool is_global = iteration.options.sync == OptimizerSync::Global;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const Time until = is_global ? last->reduced : ranks[rank].reduced;
    list.push_back({{"rank", rank},
                    {"start_ns", ranks[rank].reduced.count()},
                    {"end_ns", until.count()},
                    {"cause", "data_parallel"},
                    {"blocked_by", fmt::format("gradients of rank {}", last - ranks.begin())},
                    {"optimized_ns", ranks[rank].optimized.count()}});
  }
  return list;
}

ordered_json offenders_json(const Analysis& step) {
  ordered_json list = ordered_json::array();
  for (const Offender& each : offenders(step.graph, step.bubbles()))
    list.push_back({{"rank", each.longest.rank},
                    {"cause", cause_key(each.longest.cause)},
                    {"times", each.times},
                    {"idle_ns", each.idle.count()},
                    {"words", offender_words(step.graph, each)}});
  return list;
}

}  // namespace

std::vector<ordered_json> idle_json(const Analysis& step) {
  std::vector<ordered_json> rows;
  for_each_bubble(step, [&](const NamedBubble& named) {
    ordered_json json = bubble_json(step, named);
    json["blocked_by"] = fmt::format("{}", fmt::join(named.blocked_by, ", "));
    json["chain"] = fmt::format("{}", fmt::join(named.chain, ", "));
    rows.push_back(std::move(json));
  });
  return rows;
}

ordered_json explain_json(const Analysis& step, const Explanation& why) {
  ordered_json json = summary_json(step.report);
  json["linear_form"] = form_json(why.form);
  ordered_json on_path;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    on_path[kCostKeys[kind]] = why.on_path[kind].count();
  json["time_on_path_ns"] = std::move(on_path);
  json["costs_ns"] = nullptr;
  json["idle_form"] = ordered_json::array();
  json["region"] = nullptr;
  if (why.costs) {
    json["costs_ns"] = form_json(*why.costs);
    for (const LinearForm& idle : why.idle)
      json["idle_form"].push_back(form_json(idle));
  }
  if (why.region) {
    json["region"] = {{"words", region_words(*why.region)},
                      {"is_exact", why.region->is_exact},
                      {"at_least_0", ordered_json::array()}};
    for (const LinearForm& face : why.region->faces)
      json["region"]["at_least_0"].push_back(form_json(face));
  }
  json["levers"] = levers_json(why);
  json["critical_path"] = path_json(step);
  json["idle"] = ordered_json::array();
  for_each_bubble(step, [&](const NamedBubble& named) {
    ordered_json bubble = bubble_json(step, named);
    bubble["blocked_by"] = named.blocked_by;
    bubble["chain"] = named.chain;
    json["idle"].push_back(std::move(bubble));
  });
  json["offenders"] = offenders_json(step);
  if (step.report.iteration)
    json["synchronisation"] = synchronisation_json(*step.report.iteration);
  return json;
}

}  // namespace bubblescope

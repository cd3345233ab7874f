#include "analysis/views/report_json.h"

#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace bubblescope {

namespace {

Json percentiles_json(const Percentiles& values) {
  return {{"mean", values.mean}, {"p5", values.p5},   {"p50", values.p50},
          {"p95", values.p95},   {"p99", values.p99}, {"max", values.max}};
}

Json noise_json(const NoiseReport& noise) {
  return {{"samples", noise.options.samples},
          {"seed", noise.options.seed},
          {"step_time_ns", percentiles_json(noise.step_time)},
          {"iteration_time_ns", or_null(noise.iteration, percentiles_json)},
          {"bubble_fraction", percentiles_json(noise.bubble_fraction)},
          {"critical_share", noise.critical_share}};
}

}  // namespace

const std::string& cause_column(BubbleCause cause) {
  static const std::vector<std::string> columns = [] {
    std::vector<std::string> all;
    for (std::size_t each = 0; each < kBubbleCauses; ++each)
      all.push_back(fmt::format("idle_{}_ns", cause_key(static_cast<BubbleCause>(each))));
    return all;
  }();
  return columns[static_cast<std::size_t>(cause)];
}

Json setting_json(const Report& report) {
  return {{"schedule", report.schedule},
          {"ranks", report.ranks},
          {"microbatches", report.microbatches},
          {"chunks", report.chunks},
          {"comm", to_string(report.comm)},
          {"channels", has_channels(report.comm) ? Json(to_string(report.channels)) : Json()}};
}

Json summary_json(const Report& report) {
  const auto& [iteration, work, search] =
      std::tie(report.iteration, report.throughput, report.search);
  Json json = setting_json(report);
  json.update({{"step_time_ns", report.step_time},
               {"bubble_fraction", report.bubble_fraction},
               {"bubble_overhead", report.bubble_overhead},
               {"span_bubble", report.span_bubble},
               {"peak_live_activations", report.peak_live_activations},
               {"peak_activation_share", report.peak_activation_share},
               {"peak_memory_bytes", report.peak_memory},
               {"device_memory_bytes", report.device_memory},
               {"weight_copies", report.weight_copies}});
  const auto add = [&](const char* key, const auto& part, const auto& figure) {
    json[key] = or_null(part, figure);
  };
  add("iteration_time_ns", iteration, [](const auto& i) { return i.time; });
  add("exposed_grad_reduce_ns", iteration, [](const auto& i) { return i.exposed_reduce; });
  add("gpus", work, [](const auto& w) { return w.gpus; });
  add("tokens_per_second", work, [](const auto& w) { return w.tokens_per_second; });
  add("mfu", work, [](const auto& w) { return w.mfu; });
  add("mfu_full_attention", work, [](const auto& w) { return w.mfu_full_attention; });
  add("objective", search,
      [](const auto& s) { return s.objective == Objective::Step ? "step" : "span"; });
  add("objective_ns", search, [](const auto& s) { return s.reached; });
  add("lower_bound_ns", search, [](const auto& s) { return s.bound(); });
  add("lower_bound_work_ns", search, [](const auto& s) { return s.work_bound; });
  add("lower_bound_drain_ns", search, [](const auto& s) { return s.drain_bound; });
  add("lower_bound_critical_path_ns", search, [](const auto& s) { return s.critical_path_bound; });
  add("lower_bound_memory_ns", search, [](const auto& s) { return s.memory_bound; });
  return json;
}

Rows rank_rows(const Report& report) {
  Rows rows;
  for (const RankReport& rank : report.per_rank) {
    Json json = {{"rank", rank.rank},
                 {"busy_ns", rank.busy},
                 {"idle_ns", rank.idle},
                 {"span_ns", rank.span},
                 {"exposed_comm_ns", rank.exposed_comm}};
    for (std::size_t cause = 0; cause < kBubbleCauses; ++cause)
      if (static_cast<BubbleCause>(cause) != BubbleCause::Unknown)
        json[cause_column(static_cast<BubbleCause>(cause))] = rank.idle_by_cause[cause];
    json["peak_live_activations"] = rank.peak_live_activations;
    const auto add = [&](const char* key, const auto& figure, bool is_told = true) {
      json[key] = rank.peak && is_told ? Json(figure(*rank.peak)) : Json();
    };
    const bool has_moment = rank.peak && rank.peak->activations > 0;
    add("peak_memory_bytes", [](const MemoryPeak& peak) { return peak.bytes(); });
    add("weight_bytes", [](const MemoryPeak& peak) { return peak.weights; });
    add("activation_bytes", [](const MemoryPeak& peak) { return peak.activations; });
    add(
        "peak_memory_at_ns", [](const MemoryPeak& peak) { return peak.at.count(); }, has_moment);
    add(
        "peak_memory_action", [](const auto& peak) { return to_string(peak.action); }, has_moment);
    const auto number = static_cast<std::size_t>(rank.rank);
    if (report.iteration) {
      json["reduced_ns"] = report.iteration->per_rank[number].reduced;
      json["optimized_ns"] = report.iteration->per_rank[number].optimized;
    }
    if (report.noise)
      json["critical_share"] = report.noise->critical_share[number];
    rows.push_back(std::move(json));
  }
  return rows;
}

Rows link_rows(const Report& report) {
  Rows rows;
  for (const LinkReport& link : report.links)
    rows.push_back({{"link", link_name(link.link)},
                    {"bytes", link.bytes},
                    {"busy_ns", link.busy},
                    {"contention_ns", link.contention}});
  return rows;
}

Json report_json(const Report& report) {
  Json json = summary_json(report);
  json["per_rank"] = rank_rows(report);
  if (!report.links.empty())
    json["links"] = link_rows(report);
  if (report.noise)
    json["noise"] = noise_json(*report.noise);
  return json;
}

void add_fits(Json& json, const Report& report, const MemoryLimit& limit) {
  json["fits"] = limit.is_given() ? Json(fits(report, limit)) : Json();
}

}  // namespace bubblescope

#include "analysis/views/report_json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bubblescope {

using nlohmann::ordered_json;

namespace {

ordered_json percentiles_json(const Percentiles& values) {
  return {{"mean", values.mean}, {"p5", values.p5},   {"p50", values.p50},
          {"p95", values.p95},   {"p99", values.p99}, {"max", values.max}};
}

ordered_json noise_json(const NoiseReport& noise) {
  return {{"samples", noise.options.samples},
          {"seed", noise.options.seed},
          {"step_time_ns", percentiles_json(noise.step_time)},
          {"iteration_time_ns",
           noise.iteration ? percentiles_json(*noise.iteration) : ordered_json(nullptr)},
          {"bubble_fraction", percentiles_json(noise.bubble_fraction)},
          {"critical_share", noise.critical_share}};
}

}  // namespace

ordered_json summary_json(const Report& report) {
  const auto of_search = [&](auto&& figure) {
    return report.search ? ordered_json(figure(*report.search)) : ordered_json(nullptr);
  };
  return {
      {"schedule", report.schedule},
      {"ranks", report.ranks},
      {"microbatches", report.microbatches},
      {"chunks", report.chunks},
      {"comm", to_string(report.comm)},
      {"channels", has_channels(report.comm) ? ordered_json(to_string(report.channels))
                                             : ordered_json(nullptr)},
      {"step_time_ns", report.step_time.count()},
      {"bubble_fraction", report.bubble_fraction},
      {"bubble_overhead", report.bubble_overhead},
      {"span_bubble", report.span_bubble},
      {"peak_live_activations", report.peak_live_activations},
      {"peak_activation_share", report.peak_activation_share},
      {"peak_memory_bytes", report.peak_memory ? ordered_json(*report.peak_memory) : nullptr},
      {"weight_copies", report.weight_copies},
      {"iteration_time_ns",
       report.iteration ? ordered_json(report.iteration->time.count()) : nullptr},
      {"exposed_grad_reduce_ns",
       report.iteration ? ordered_json(report.iteration->exposed_reduce.count()) : nullptr},
      {"gpus", report.throughput ? ordered_json(report.throughput->gpus) : nullptr},
      {"tokens_per_second",
       report.throughput ? ordered_json(report.throughput->tokens_per_second) : nullptr},
      {"mfu", report.throughput ? ordered_json(report.throughput->mfu) : nullptr},
      {"objective",
       of_search([](const auto& s) { return s.objective == Objective::Step ? "step" : "span"; })},
      {"objective_ns", of_search([](const auto& s) { return s.reached.count(); })},
      {"lower_bound_ns", of_search([](const auto& s) { return s.bound().count(); })},
      {"lower_bound_work_ns", of_search([](const auto& s) { return s.work_bound.count(); })},
      {"lower_bound_drain_ns", of_search([](const auto& s) { return s.drain_bound.count(); })},
      {"lower_bound_critical_path_ns",
       of_search([](const auto& s) { return s.critical_path_bound.count(); })},
      {"lower_bound_memory_ns", of_search([](const auto& s) { return s.memory_bound.count(); })}};
}

ordered_json rank_json(const Report& report, std::size_t number) {
  const RankReport& rank = report.per_rank[number];
  ordered_json json = {{"rank", rank.rank},
                       {"busy_ns", rank.busy.count()},
                       {"idle_ns", rank.idle.count()},
                       {"span_ns", rank.span.count()},
                       {"exposed_comm_ns", rank.exposed_comm.count()}};
  for (std::size_t cause = 0; cause < kBubbleCauses; ++cause)
    if (static_cast<BubbleCause>(cause) != BubbleCause::Unknown)
      json[fmt::format("idle_{}_ns", cause_key(static_cast<BubbleCause>(cause)))] =
          rank.idle_by_cause[cause].count();
  json["peak_live_activations"] = rank.peak_live_activations;
  const auto of_peak = [&](auto&& figure) {
    return rank.peak ? ordered_json(figure(*rank.peak)) : ordered_json(nullptr);
  };
  json["peak_memory_bytes"] = of_peak([](const MemoryPeak& peak) { return peak.bytes(); });
  json["weight_bytes"] = of_peak([](const MemoryPeak& peak) { return peak.weights; });
  json["activation_bytes"] = of_peak([](const MemoryPeak& peak) { return peak.activations; });
  const bool has_moment = rank.peak && rank.peak->activations > 0;
  json["peak_memory_at_ns"] = has_moment ? ordered_json(rank.peak->at.count()) : nullptr;
  json["peak_memory_action"] = has_moment ? ordered_json(to_string(rank.peak->action)) : nullptr;
  if (report.iteration) {
    const IterationEnd& end = report.iteration->per_rank[number];
    json["reduced_ns"] = end.reduced.count();
    json["optimized_ns"] = end.optimized.count();
  }
  if (report.noise)
    json["critical_share"] = report.noise->critical_share[number];
  return json;
}

ordered_json link_json(const LinkReport& link) {
  return {{"link", link_name(link.link)},
          {"bytes", link.bytes},
          {"busy_ns", link.busy.count()},
          {"contention_ns", link.contention.count()}};
}

ordered_json report_json(const Report& report) {
  ordered_json json = summary_json(report);
  json["per_rank"] = ordered_json::array();
  for (std::size_t rank = 0; rank < report.per_rank.size(); ++rank)
    json["per_rank"].push_back(rank_json(report, rank));
  for (const LinkReport& link : report.links)
    json["links"].push_back(link_json(link));
  if (report.noise)
    json["noise"] = noise_json(*report.noise);
  return json;
}

}  // namespace bubblescope

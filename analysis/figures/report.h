// The figures of one run: how long, how idle, how full. The formulas are those of
// docs/metrics.md.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/figures/bubbles.h"
#include "analysis/figures/iteration.h"
#include "analysis/figures/links.h"
#include "analysis/figures/noise_report.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"
#include "sim/search/search.h"
#include "sim/transformer/analytic_costs.h"

namespace bubblescope {

/// What a rank holds when it holds most: the action that makes it so has just started.
struct MemoryPeak {
  Bytes weights = 0;      ///< Of its stages, with gradients, optimizer state and buffers.
  Bytes activations = 0;  ///< Live ones; 0 where there never are any.
  Time at{};              ///< When the action starts.
  Action action{};        ///< The first that makes it so.

  Bytes bytes() const { return weights + activations; }
};

struct RankReport {
  Rank rank = 0;
  Time busy{};          ///< Time in which it executes an action.
  Time idle{};          ///< Step time − busy.
  Time span{};          ///< Its last end − its first start.
  Time exposed_comm{};  ///< Time in which it communicates and does not compute.
  IdleByCause idle_by_cause = {};
  int peak_live_activations = 0;  ///< Along its order: +1 at F, −1 after W or B; a pair's F first.
  std::optional<MemoryPeak> peak;  ///< None where sizes are unknown.

  std::optional<Bytes> peak_memory() const {
    return peak ? std::optional(peak->bytes()) : std::nullopt;
  }
};

/// How close an automatic schedule came to what no schedule can beat.
struct SearchFigures {
  Objective objective = Objective::Step;
  Time reached{};  ///< The objective, with ideal communication.
  Time work_bound{};
  Time drain_bound{};
  Time critical_path_bound{};
  Time memory_bound{};

  /// No schedule within the limit has a shorter one.
  Time bound() const {
    return std::max({work_bound, drain_bound, critical_path_bound, memory_bound});
  }
  bool is_at_bound() const { return reached == bound(); }
  /// By how much it lies above the bound, as a fraction of it.
  double above_bound() const;
};

/// What a model's training comes to.
struct Throughput {
  std::int64_t gpus = 0;
  double tokens_per_second = 0;
  double mfu = 0;  ///< Model FLOPs utilization: what the model needs, as a part of the peak.
  double mfu_full_attention = 0;  ///< Counts attention over the whole square.
};
Throughput throughput(const StepWork& work, Time time);

struct Report {
  std::string schedule = {};
  int ranks = 0;
  int microbatches = 0;
  int chunks = 0;
  Comm comm = {};
  Channels channels = default_channels(comm);
  Time step_time{};                           ///< Last end − first start over all ranks.
  double bubble_fraction = 0;                 ///< Σ idle / (ranks × step time)
  double bubble_overhead = 0;                 ///< Σ idle / Σ busy
  double span_bubble = 0;                     ///< Largest over ranks of (span − busy) / span.
  int peak_live_activations = 0;              ///< Largest over ranks, in activations of a stage.
  double peak_activation_share = 0;           ///< The same in p-ths of the model.
  std::optional<Bytes> peak_memory = {};      ///< Held by tensors, largest over ranks.
  std::optional<Bytes> device_memory = {};    ///< Where the costs come from a model.
  int weight_copies = 0;                      ///< Copies of the model's weights over all ranks.
  std::vector<RankReport> per_rank = {};      ///< [rank]
  std::vector<LinkReport> links = {};         ///< That messages share.
  std::optional<SearchFigures> search = {};   ///< Of an automatic schedule.
  std::optional<NoiseReport> noise = {};      ///< Where durations differ from step to step.
  std::optional<Throughput> throughput = {};  ///< Where the costs come from a model.
  std::optional<IterationReport> iteration = {};  ///< Where costs tell what comes after the step.

  /// The device's memory has to fit, or where it is not known that of tensors.
  std::optional<Bytes> held_memory() const { return device_memory ? device_memory : peak_memory; }
  /// Of the whole iteration where that is known, else of the step.
  Time whole_time() const { return iteration ? iteration->time : step_time; }
  /// The same, of the samples that noise gave where there is any.
  const Percentiles* noisy_time() const;
  /// What runs are ranked by: `whole_time`, its median where noise makes steps differ.
  Time ranked_time() const;
};

/// What a search assumed of messages and this run does not: "ideal communication", "no contention"
/// or both; empty where it is the same.
std::string search_assumption(const Report& report);
/// "torch communication, one channel a pair"
std::string comm_words(const Report& report);
/// "4 ranks (32 GPUs), 8 micro-batches, torch communication, one channel a pair"
std::string setting(const Report& report);

/// What actions do inside: as their costs tell, exposed communication too, or something else, of
/// which nothing is known, as where tensors were measured.
enum class Inside : std::uint8_t { AsCostsTell, Unknown };

/// Fractions whose denominator is 0 are 0.
Report report(const DependencyGraph& graph, const Timeline& timeline,
              Inside inside = Inside::AsCostsTell);

}  // namespace bubblescope

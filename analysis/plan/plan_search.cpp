#include "analysis/plan/plan_search.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "analysis/plan/space_bounds.h"

namespace bubblescope {

bool is_better(const PlanRow& a, const PlanRow& b) {
  const auto key = [](const PlanRow& row) {
    return std::tuple(row.figures.iteration_time, row.figures.peak_memory, row.number);
  };
  return key(a) < key(b);
}

std::vector<PlanRow> front_of(std::vector<PlanRow> rows) {
  std::sort(rows.begin(), rows.end(), is_better);
  std::vector<PlanRow> front;
  for (const PlanRow& row : rows)
    if (front.empty() || row.figures.peak_memory < front.back().figures.peak_memory)
      front.push_back(row);
  return front;
}

namespace {

/// More than so many times the limit is no memory that anybody would add.
constexpr Bytes kMostBeyond = 2;

class PlanSearch {
 public:
  PlanSearch(const PlanQuestion& question, const PlanOptions& options)
      : question_(question),
        options_(options),
        result_{.space = plan_space(question)},
        front_(options.top, tie_percent(question.job.model)),
        waves_(question, result_.space, result_.bounds, options.threads, options.is_stopped) {
    const std::size_t count = result_.space.configurations.size();
    result_.states.assign(count, PlanState::Open);
    for (std::uint32_t number = 0; number < count; ++number)
      result_.counts.configurations += is_own(number) ? 1U : 0U;
  }

  PlanResult run() {
    result_.bounds = space_bounds(question_, result_.space, kMostBeyond * question_.memory_limit,
                                  PlanShard{options_.shards, options_.shard}, options_.threads,
                                  options_.is_stopped);
    if (!waves_.is_stopped())
      refuse_by_bound();
    explore();
    if (front_.empty())
      find_lightest();
    // Another shard may have what fits.
    if (!front_.empty() || options_.shards > 1)
      look_beyond();
    finish();
    return std::move(result_);
  }

 private:
  bool is_own(std::uint32_t number) const {
    return result_.space.configurations[number].split % options_.shards == options_.shard;
  }

  void refuse_by_bound() {
    for (std::uint32_t number = 0; number < result_.bounds.size(); ++number)
      if (is_own(number) && result_.bounds[number].memory > question_.memory_limit)
        set_state(number, PlanState::Infeasible);
  }

  void set_state(std::uint32_t number, PlanState state) {
    result_.states[number] = state;
    result_.counts.simulated += state == PlanState::Simulated ? 1U : 0U;
    result_.counts.excluded += state == PlanState::Excluded ? 1U : 0U;
    result_.counts.infeasible += state == PlanState::Infeasible ? 1U : 0U;
  }

  /// Own configurations for which `is_wanted`, by rising bound of their time.
  template <typename IsWanted>
  std::vector<std::uint32_t> by_time(const IsWanted& is_wanted) const {
    std::vector<std::uint32_t> order;
    for (std::uint32_t number = 0; number < result_.states.size(); ++number)
      if (is_own(number) && is_wanted(number))
        order.push_back(number);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return result_.bounds[a].time < result_.bounds[b].time;
    });
    return order;
  }

  void explore() {
    if (waves_.is_stopped())
      return;
    const auto order =
        by_time([&](std::uint32_t number) { return result_.states[number] == PlanState::Open; });
    const auto take = [&](std::uint32_t number, const PlanFinding& finding) {
      set_state(number, finding.state);
      if (finding.state == PlanState::Infeasible)
        result_.bounds[number].memory =
            std::max(result_.bounds[number].memory, finding.figures.peak_memory);
      if (finding.state != PlanState::Simulated)
        return;
      found_.push_back({finding.figures.iteration_time, finding.figures.peak_memory});
      result_.simulated.push_back({number, finding.figures});
    };
    const auto end_wave = [&] {
      for (const auto& [time, memory] : std::exchange(found_, {}))
        front_.add(time, memory);
      if (options_.tell)
        options_.tell(result_.counts,
                      front_.empty() ? std::nullopt : std::optional(front_.shortest()));
      return true;
    };
    waves_.run(
        order,
        {.front = front_, .limit = question_.memory_limit, .exhaustive = options_.exhaustive}, take,
        end_wave);
  }

  /// Finds how much the best would gain with more memory.
  void look_beyond() {
    const Time best = front_.empty() ? Time::max() : front_.shortest();
    const Bytes most = kMostBeyond * question_.memory_limit;
    PlanFront front(1, 0);
    std::vector<PlanRow> rows;
    const auto order = by_time([&](std::uint32_t number) {
      const PlanBound& bound = result_.bounds[number];
      return result_.states[number] == PlanState::Infeasible && bound.time < best &&
             bound.memory <= most;
    });
    const auto take = [&](std::uint32_t number, const PlanFinding& finding) {
      if (finding.state == PlanState::Simulated && finding.figures.iteration_time < best)
        rows.push_back({number, finding.figures});
    };
    const auto end_wave = [&] {
      for (const PlanRow& row : rows)
        front.add(row.figures.iteration_time, row.figures.peak_memory);
      return true;
    };
    waves_.run(order, {.front = front, .limit = most, .keeps_nearest = false}, take, end_wave);
    result_.beyond = front_of(std::move(rows));
  }

  /// Where nothing fits.
  void find_lightest() {
    std::vector<std::uint32_t> order = by_time([](std::uint32_t) { return true; });
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return result_.bounds[a].memory < result_.bounds[b].memory;
    });
    std::size_t done = 0;
    const auto take = [&](std::uint32_t number, const PlanFinding& finding) {
      ++done;
      const Bytes memory = finding.figures.peak_memory;
      if (memory > 0 && (!result_.lightest || std::pair(memory, number) <
                                                  std::pair(result_.lightest->figures.peak_memory,
                                                            result_.lightest->number)))
        result_.lightest = {number, {.peak_memory = memory}};
    };
    const auto end_wave = [&] {
      return !result_.lightest ||
             (done < order.size() &&
              result_.bounds[order[done]].memory <= result_.lightest->figures.peak_memory);
    };
    waves_.run(order, {.front = front_, .limit = -1}, take, end_wave);
  }

  void finish() {
    std::sort(result_.simulated.begin(), result_.simulated.end(), is_better);
    result_.front = front_of(result_.simulated);
    result_.is_interrupted = waves_.is_stopped();
  }

  const PlanQuestion& question_;
  const PlanOptions& options_;
  PlanResult result_;
  PlanFront front_;
  std::vector<std::pair<Time, Bytes>> found_ = {};  // by the wave that runs
  PlanWaves waves_;
};

}  // namespace

std::size_t PlanResult::ties(int percent) const {
  return static_cast<std::size_t>(
      std::count_if(simulated.begin(), simulated.end(), [&](const PlanRow& row) {
        return ties_with(simulated.front().figures.iteration_time, row.figures.iteration_time,
                         percent);
      }));
}

bool is_simpler(const PlanQuestion& question, const PlanSpace& space, std::uint32_t a,
                std::uint32_t b) {
  const auto key = [&](std::uint32_t number) {
    const PlanSpace::Configuration& configuration = space.configurations[number];
    const PlanSplit& split = space.splits[configuration.split];
    const Parallel& parallel = split.parallel;
    const CatalogueEntry& entry = *question.choices.schedules[configuration.schedule];
    const int ways = (parallel.tensor > 1 ? 1 : 0) + (parallel.context > 1 ? 1 : 0) +
                     (parallel.expert > 1 ? 1 : 0) + (split.ranks > 1 ? 1 : 0);
    const Recompute& recompute = split.recompute;
    const int again = recompute == kRecomputeNone ? 0 : recompute == kRecomputeFull ? 2 : 1;
    return std::tuple(ways, entry.weight_copies, entry.frameworks.empty(), split.chunks, again,
                      configuration.schedule,
                      parallel.tensor * parallel.context * split.ranks * parallel.expert,
                      split.microbatch, number);
  };
  return key(a) < key(b);
}

PlanResult search_plan(const PlanQuestion& question, const PlanOptions& options) {
  return PlanSearch(question, options).run();
}

}  // namespace bubblescope

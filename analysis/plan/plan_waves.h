// Configurations simulated in waves: what one wave finds excludes many of the next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <tuple>
#include <vector>

#include "analysis/plan/order_cache.h"
#include "analysis/plan/plan_bounds.h"
#include "analysis/plan/plan_front.h"
#include "analysis/plan/plan_space.h"
#include "sim/base/parallel.h"

namespace bubblescope {

/// A configuration ends in one of these states.
enum class PlanState : std::uint8_t {
  Open,        ///< The search ended before its turn.
  Infeasible,  ///< It does not fit: by its bound, or as its order tells.
  Excluded,    ///< A simulated one takes less time, and no more memory.
  Simulated,   ///< It fits.
};

/// A wave finds this of one configuration.
struct PlanFinding {
  PlanState state = PlanState::Open;
  PlanFigures figures = {};
};

/// Which configurations need not be simulated.
struct PlanRule {
  const PlanFront& front;  ///< Made of all simulated so far; it does not change within a wave.
  Bytes limit = 0;
  bool exhaustive = false;    ///< All that fit are simulated.
  bool keeps_nearest = true;  ///< Ties of the best, and the shortest, are never excluded.

  bool excludes(Time time, Bytes memory) const {
    return !exhaustive && (!keeps_nearest || front.is_far(time)) && front.beats(time, memory);
  }
};

class PlanWaves {
 public:
  /// They have to outlive it. `is_stopped` may be empty.
  PlanWaves(const PlanQuestion& question, const PlanSpace& space,
            const std::vector<PlanBound>& bounds, int threads, std::function<bool()> is_stopped)
      : question_(question),
        space_(space),
        bounds_(bounds),
        threads_(threads),
        is_stopped_(std::move(is_stopped)),
        orders_(question.comm) {}

  const PlanSplit& split_of(std::uint32_t number) const {
    return space_.splits[space_.configurations[number].split];
  }
  const CatalogueEntry& schedule_of(std::uint32_t number) const {
    return *question_.choices.schedules[space_.configurations[number].schedule];
  }
  bool is_stopped() const { return is_stopped_ && is_stopped_(); }

  /// `take(number, finding)` gets what each of `order` comes to; `end_wave()` follows.
  template <typename Take, typename EndWave>
  void run(const std::vector<std::uint32_t>& order, const PlanRule& rule, const Take& take,
           const EndWave& end_wave) {
    for (std::size_t next = 0; next < order.size() && !is_stopped();) {
      std::vector<std::uint32_t> wave;
      for (; next < order.size() && wave.size() < kWave; ++next) {
        const PlanBound& bound = bounds_[order[next]];
        if (rule.excludes(bound.time, bound.memory))
          take(order[next], PlanFinding{.state = PlanState::Excluded});
        else
          wave.push_back(order[next]);
      }
      const std::vector<PlanFinding> findings = run_wave(wave, rule);
      for (std::size_t i = 0; i < wave.size(); ++i)
        take(wave[i], findings[i]);
      if (!end_wave())
        return;
    }
  }

 private:
  /// So many are looked at before the next are excluded by them, whatever the number of threads.
  static constexpr std::size_t kWave = 128;

  std::vector<PlanFinding> run_wave(std::vector<std::uint32_t>& wave, const PlanRule& rule);
  PlanFinding find(std::uint32_t number, const PlanRule& rule);

  const PlanQuestion& question_;
  const PlanSpace& space_;
  const std::vector<PlanBound>& bounds_;
  int threads_;
  std::function<bool()> is_stopped_;
  OrderCache orders_;
};

}  // namespace bubblescope

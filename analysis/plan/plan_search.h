// The search for the best of all configurations: what cannot matter is excluded before it is
// simulated, and what is found is the same as if all were.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "analysis/plan/plan_waves.h"

namespace bubblescope {

/// A configuration that was simulated: its place in the space, and its figures.
struct PlanRow {
  std::uint32_t number = 0;
  PlanFigures figures = {};

  friend bool operator==(const PlanRow&, const PlanRow&) = default;
};

struct PlanCounts {
  std::size_t configurations = 0;
  std::size_t simulated = 0;
  std::size_t excluded = 0;
  std::size_t infeasible = 0;

  bool is_complete() const { return simulated + excluded + infeasible == configurations; }
  friend bool operator==(const PlanCounts&, const PlanCounts&) = default;
};

struct PlanOptions {
  std::size_t top = 10;     ///< How many of the best are wanted for certain.
  bool exhaustive = false;  ///< Simulates all that fit.
  int threads = 1;          ///< Nothing that is found depends on it.
  /// Splits whose number leaves the remainder `shard` are this search's own.
  std::uint32_t shards = 1;
  std::uint32_t shard = 0;
  std::function<bool()> is_stopped = {};
  /// Called now and then with what is done so far and the best time, if any.
  std::function<void(const PlanCounts&, std::optional<Time>)> tell = {};
};

struct PlanResult {
  PlanSpace space = {};
  PlanCounts counts = {};
  std::vector<PlanState> states = {};   ///< [configuration]
  std::vector<PlanBound> bounds = {};   ///< [configuration]
  std::vector<PlanRow> simulated = {};  ///< Rows that fit, best first.
  std::vector<PlanRow> front = {};      ///< By rising time and falling memory.
  /// Rows that would take less time than the best with more memory, up to twice the limit; none
  /// takes more of both than another.
  std::vector<PlanRow> beyond = {};
  /// Where nothing fits: the one that holds least, without its times.
  std::optional<PlanRow> lightest = {};
  bool is_interrupted = false;  ///< It was stopped, and more may be found.

  /// Rows within so many percent of the best, which is one of them.
  std::size_t ties(int percent) const;
};

/// By time, then memory, then the order of the space.
bool is_better(const PlanRow& a, const PlanRow& b);
/// Rows that no other one beats, best first.
std::vector<PlanRow> front_of(std::vector<PlanRow> rows);

/// Whether `a` is simpler than `b`: it uses fewer ways to divide, a plainer schedule, fewer chunks,
/// less recomputation, smaller degrees.
bool is_simpler(const PlanQuestion& question, const PlanSpace& space, std::uint32_t a,
                std::uint32_t b);

/// Throws Error as `plan_space` does.
PlanResult search_plan(const PlanQuestion& question, const PlanOptions& options);

}  // namespace bubblescope

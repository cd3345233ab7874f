// What the schedule search works on: a placement and its costs as flat arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "sim/costs/cost_model.h"
#include "sim/schedule/op.h"
#include "sim/schedule/placement.h"

namespace bubblescope {

using Ticks = std::int64_t;  ///< Nanoseconds, as plain integers for the inner loops.

/// One place of a rank's order: chunk · 3 + kind, where kind is F, I or W. The micro-batch follows
/// by counting: all are alike, so that every stage may as well take them in their order.
using Letter = std::uint8_t;
constexpr int kLetterKinds = 3;

constexpr OpKind kind_of(Letter letter) {
  return static_cast<OpKind>(letter % kLetterKinds);
}
constexpr int chunk_of(Letter letter) {
  return letter / kLetterKinds;
}
constexpr Letter letter_of(int chunk, OpKind kind) {
  return static_cast<Letter>(chunk * kLetterKinds + static_cast<int>(kind));
}

/// F, I or W of one stage, for all micro-batches: rank · letters + letter.
using Track = std::int32_t;
constexpr Track kNoTrack = -1;

constexpr OpKind kind_of_track(Track track) {
  return static_cast<OpKind>(track % kLetterKinds);
}

struct TrackCosts {
  Ticks duration = 0;
  Track next = kNoTrack;  ///< The track that its outputs go to.
  Ticks hop = 0;          ///< What an output takes to get there.
  std::int64_t memory = 0;  ///< What an op takes of its rank's memory; ≥ 0 for F, ≤ 0 for I and W.
  Rank next_rank = 0;       ///< Its rank; the own one if there is none.
};

/// What a search makes as short as it can; the other one decides between equals.
enum class Objective : std::uint8_t {
  Step,  ///< From the first start of all ranks to the last end.
  Span,  ///< From first start to last end of the rank where that is longest.
};

/// What schedules are compared by.
struct Score {
  Ticks step = 0;
  Ticks span = 0;

  friend bool operator==(const Score&, const Score&) = default;
};

struct Problem {
  int ranks = 0;
  int chunks = 0;  ///< Of every rank.
  int microbatches = 0;
  std::int64_t memory_limit = 0;  ///< Of every rank, in the unit of TrackCosts::memory.
  Objective objective = Objective::Step;
  Track first = 0;                         ///< The F's that wait for nothing.
  std::vector<TrackCosts> tracks = {};     ///< [track]
  std::vector<Stage> stage_of_chunk = {};  ///< [rank · chunks + chunk]
  std::vector<Ticks> full_backward = {};   ///< [stage] duration of a B
  /// [stage] Whether a B stands for I and W: then the I is the B, and the W takes no time. Empty:
  /// nowhere.
  std::vector<std::uint8_t> merged_stages = {};
  /// [stage] What is live between F and I. Where W needs more, F reserves that: `costs` of the F.
  std::vector<std::int64_t> kept = {};

  int letters() const { return chunks * kLetterKinds; }
  /// Letters in the order of one rank.
  std::size_t order_length() const {
    return static_cast<std::size_t>(letters()) * static_cast<std::size_t>(microbatches);
  }
  Track track(Rank rank, int letter) const { return rank * letters() + letter; }
  Stage stage(Rank rank, int chunk) const {
    const int place = rank * chunks + chunk;
    return stage_of_chunk[static_cast<std::size_t>(place)];
  }
  bool is_merged(Stage stage) const {
    return !merged_stages.empty() && merged_stages[static_cast<std::size_t>(stage)] != 0;
  }
  /// What the activations of one micro-batch take on a rank.
  std::int64_t memory_of_microbatch(Rank rank) const;
  /// Of all its ops.
  Ticks work(Rank rank) const;
  Ticks value(const Score& score) const {
    return objective == Objective::Step ? score.step : score.span;
  }
  bool is_better(const Score& score, const Score& than) const {
    const auto key = [&](const Score& any) {
      return std::pair(value(any), any.step + any.span - value(any));
    };
    return key(score) < key(than);
  }
  const TrackCosts& costs(Track track) const { return tracks[static_cast<std::size_t>(track)]; }
};

/// In what memory is counted.
enum class MemoryUnit : std::uint8_t {
  Activations,  ///< Of stages: one more at F, one fewer after W.
  SizeInBytes,  ///< What the costs tell: an activation may shrink at I.
};

/// Everything but micro-batches, limit and objective.
Problem make_problem(const Placement& placement, const CostModel& costs, MemoryUnit unit);

/// The problem with B's at all stages where a B is shorter than I and W, or as long and holds less;
/// none if there are none.
std::optional<Problem> merged(const Problem& problem);

/// A problem that no schedule takes less time for, be it with B's or without.
Problem relaxed(const Problem& problem);

/// The orders of all ranks, one after the other: [rank · order_length + place].
using Letters = std::vector<Letter>;

}  // namespace bubblescope

// The ranks at work: what each has done, what has reached it, and when. Orders are timed, and
// schedules made, by telling it which op a rank executes next.
#pragma once

#include <algorithm>
#include <vector>

#include "sim/search/problem.h"

namespace bubblescope {

class Execution {
 public:
  explicit Execution(const Problem& problem);
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  /// Back to time 0.
  void restart();

  /// Ops of the track that have been executed.
  int done(Track track) const { return state(track).done; }
  /// Whether the input of the track's next op is there or on its way.
  bool has_input(Track track) const { return state(track).done < state(track).arrived; }
  /// When it is there. For a W: 0, since its own rank made it.
  Ticks arrival(Track track) const { return state(track).arrivals[state(track).done]; }
  /// When a rank ends what it has started.
  Ticks free_at(Rank rank) const { return free_at_[static_cast<std::size_t>(rank)]; }

  /// Starts the next op of a track, which has its input, as early as can be; tells how long its
  /// rank has waited for that.
  Ticks execute(Rank rank, Track track) {
    TrackState& own = tracks_[static_cast<std::size_t>(track)];
    Ticks& free_at = free_at_[static_cast<std::size_t>(rank)];
    const Ticks before = free_at;
    const Ticks start = std::max(before, own.arrivals[own.done++]);
    free_at = start + own.duration;
    if (own.next != kNoTrack) {
      TrackState& next = tracks_[static_cast<std::size_t>(own.next)];
      next.arrivals[next.arrived++] = start + own.duration + own.hop;
    }
    if (own.is_input)
      ++tracks_[static_cast<std::size_t>(track) + 1].arrived;
    return start - before;
  }

 private:
  struct TrackState {
    Ticks duration;
    Ticks hop;
    Ticks* arrivals;  // [microbatch]
    Track next;
    int done;
    int arrived;  // inputs, those on their way too
    bool is_input;
  };
  const TrackState& state(Track track) const { return tracks_[static_cast<std::size_t>(track)]; }

  const Problem& problem_;
  std::vector<TrackState> tracks_;  // [track]
  std::vector<Ticks> arrivals_;     // [track · microbatches + microbatch]
  std::vector<Ticks> free_at_;      // [rank]
};

}  // namespace bubblescope

#include "sim/search/execution.h"

namespace bubblescope {

Execution::Execution(const Problem& problem)
    : problem_(problem),
      arrivals_(problem.tracks.size() * static_cast<std::size_t>(problem.microbatches)),
      free_at_(static_cast<std::size_t>(problem.ranks)) {
  Ticks* arrivals = arrivals_.data();
  for (Track track = 0; track < static_cast<Track>(problem.tracks.size()); ++track) {
    const TrackCosts& costs = problem.costs(track);
    tracks_.push_back({.duration = costs.duration,
                       .hop = costs.hop,
                       .arrivals = arrivals,
                       .next = costs.next,
                       .done = 0,
                       .arrived = 0,
                       .is_input = kind_of_track(track) == OpKind::BackwardInput});
    arrivals += problem.microbatches;
  }
}

void Execution::restart() {
  for (TrackState& track : tracks_) {
    track.done = 0;
    track.arrived = 0;
  }
  tracks_[static_cast<std::size_t>(problem_.first)].arrived = problem_.microbatches;
  std::fill(free_at_.begin(), free_at_.end(), 0);
}

}  // namespace bubblescope

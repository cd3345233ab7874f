#include "sim/search/lower_bound.h"

#include <limits>
#include <vector>

namespace bubblescope {
namespace {

/// Times along the way of one micro-batch that never waits, and what a rank can do meanwhile.
class Bounds {
 public:
  explicit Bounds(const Problem& problem)
      : problem_(problem), reached_(problem.tracks.size()), rest_(problem.tracks.size()) {
    std::vector<Track> way;
    Ticks now = 0;
    for (Track track = problem.first; track != kNoTrack; track = problem.costs(track).next) {
      at(reached_, track) = now;
      now += duration(track) + problem.costs(track).hop;
      way.push_back(track);
    }
    for (std::size_t i = way.size(); i-- > 0;) {
      const TrackCosts& costs = problem.costs(way[i]);
      Ticks after = costs.next == kNoTrack ? 0 : costs.hop + at(rest_, costs.next);
      if (kind_of_track(way[i]) == OpKind::BackwardInput)
        after = std::max(after, duration(way[i] + 1));
      at(rest_, way[i]) = costs.duration + after;
    }
  }

  LowerBound run() const {
    LowerBound bound{.critical_path = critical_path()};
    for (Rank rank = 0; rank < problem_.ranks; ++rank) {
      bound.work = std::max(bound.work, work(rank));
      bound.drain = std::max(bound.drain, drain(rank));
      bound.memory = std::max(bound.memory, memory(rank));
    }
    return bound;
  }

 private:
  static Ticks& at(std::vector<Ticks>& times, Track track) {
    return times[static_cast<std::size_t>(track)];
  }
  /// When the first micro-batch reaches an F or I.
  Ticks reached(Track track) const { return reached_[static_cast<std::size_t>(track)]; }
  /// From the start of an F or I to the end of all that follows it.
  Ticks rest(Track track) const { return rest_[static_cast<std::size_t>(track)]; }
  Ticks duration(Track track) const { return problem_.costs(track).duration; }
  Track track(Rank rank, int chunk, OpKind kind) const {
    return problem_.track(rank, letter_of(chunk, kind));
  }
  bool by_span() const { return problem_.objective == Objective::Span; }
  /// How many micro-batches, times chunks, a rank can have between F and I, or between F and W.
  Ticks room(Rank rank, OpKind until) const {
    const Ticks all = Ticks{problem_.chunks} * problem_.microbatches;
    Ticks most = 0;
    for (int chunk = 0; chunk <= last_chunk(); ++chunk) {
      const std::int64_t memory =
          until == OpKind::BackwardInput
              ? problem_.costs(track(rank, chunk, OpKind::Forward)).memory
              : -problem_.costs(track(rank, chunk, OpKind::BackwardWeight)).memory;
      most = std::max(most, memory > 0 ? problem_.memory_limit / memory : all);
    }
    return std::min(most, all);
  }
  Ticks longest(Rank rank, OpKind kind) const {
    Ticks result = 0;
    for (int chunk = 0; chunk <= last_chunk(); ++chunk)
      result = std::max(result, duration(track(rank, chunk, kind)));
    return result;
  }
  int last_chunk() const { return problem_.chunks - 1; }
  /// From the start of an F or I of a rank to the end of the W of its first chunk.
  Ticks to_own_end(Rank rank, Track from) const {
    const Track input = track(rank, 0, OpKind::BackwardInput);
    return reached(input) - reached(from) + duration(input) + duration(input + 1);
  }

  Ticks critical_path() const {
    const Rank rank = problem_.first / problem_.letters();
    return (problem_.microbatches - 1) * duration(problem_.first) +
           (by_span() ? to_own_end(rank, problem_.first) : rest(problem_.first));
  }

  /// For how long a rank waits before its first I, at least.
  Ticks front(Rank rank) const {
    const Ticks first_start = reached(track(rank, 0, OpKind::Forward));
    const Ticks begin = by_span() ? first_start : 0;
    const Ticks first_input = reached(track(rank, last_chunk(), OpKind::BackwardInput));
    const Ticks forwards = room(rank, OpKind::BackwardInput) * longest(rank, OpKind::Forward);
    return std::max(first_start - begin, first_input - begin - forwards);
  }

  Ticks work(Rank rank) const {
    const Ticks open = room(rank, OpKind::BackwardInput);
    const Ticks live = room(rank, OpKind::BackwardWeight);
    const Track last_forward = track(rank, last_chunk(), OpKind::Forward);
    const Ticks way_back = by_span() ? to_own_end(rank, last_forward) : rest(last_forward);
    const Ticks end = std::max<Ticks>(0, way_back - duration(last_forward) -
                                             open * longest(rank, OpKind::BackwardInput) -
                                             live * longest(rank, OpKind::BackwardWeight));
    // With room for all, the last F may come before the first I: then the two times may overlap.
    const bool are_apart = open < Ticks{problem_.chunks} * problem_.microbatches;
    return problem_.work(rank) + (are_apart ? front(rank) + end : std::max(front(rank), end));
  }

  Ticks drain(Rank rank) const {
    const Track input = track(rank, 0, OpKind::BackwardInput);
    const Ticks until_last_input =
        front(rank) + problem_.work(rank) -
        room(rank, OpKind::BackwardWeight) * longest(rank, OpKind::BackwardWeight);
    if (!by_span())
      return until_last_input + rest(input) - duration(input);
    const Rank first = problem_.first / problem_.letters();
    return reached(track(rank, 0, OpKind::Forward)) + until_last_input + to_own_end(first, input) -
           duration(input);
  }

  Ticks memory(Rank rank) const {
    Ticks lives = 0;
    Ticks shortest_forward = std::numeric_limits<Ticks>::max();
    for (int chunk = 0; chunk <= last_chunk(); ++chunk) {
      const Track forward = track(rank, chunk, OpKind::Forward);
      lives +=
          reached(forward + 1) - reached(forward) + duration(forward + 1) + duration(forward + 2);
      shortest_forward = std::min(shortest_forward, duration(forward));
    }
    const Ticks room = this->room(rank, OpKind::BackwardWeight);
    // The room fills one F at a time.
    const Ticks filling = shortest_forward * (room - 1) / 2;
    const Ticks span = (problem_.microbatches * lives + room - 1) / room + filling;
    return span + (by_span() ? 0 : reached(track(rank, 0, OpKind::Forward)));
  }

  const Problem& problem_;
  std::vector<Ticks> reached_;  // [track]
  std::vector<Ticks> rest_;     // [track]
};

}  // namespace

LowerBound lower_bound(const Problem& problem) {
  return Bounds(problem).run();
}

}  // namespace bubblescope

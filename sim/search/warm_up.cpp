#include "sim/search/warm_up.h"

#include <vector>

namespace bubblescope {
namespace {

constexpr Letter kForward = letter_of(0, OpKind::Forward);
constexpr Letter kInput = letter_of(0, OpKind::BackwardInput);
constexpr Letter kWeight = letter_of(0, OpKind::BackwardWeight);

/// [rank] F's before the first I.
std::vector<int> warm_up_forwards(const Problem& problem) {
  std::vector<Ticks> end;  // [rank] of its F's so far
  Ticks arrival = 0;       // of the first F, then of the first I
  for (Rank rank = 0; rank < problem.ranks; ++rank) {
    const TrackCosts& forward = problem.costs(problem.track(rank, kForward));
    end.push_back(arrival + forward.duration);
    arrival = end.back() + forward.hop;
  }
  std::vector<int> forwards(end.size(), 1);
  for (Rank rank = problem.ranks; rank-- > 0;) {
    const auto r = static_cast<std::size_t>(rank);
    const Ticks duration = problem.costs(problem.track(rank, kForward)).duration;
    for (; forwards[r] < problem.microbatches && end[r] + duration <= arrival; ++forwards[r])
      end[r] += duration;
    const TrackCosts& input = problem.costs(problem.track(rank, kInput));
    arrival += input.duration + input.hop;
  }
  return forwards;
}

}  // namespace

Letters fill_warm_up(const Problem& problem) {
  Letters letters;
  for (const int forwards : warm_up_forwards(problem)) {
    letters.insert(letters.end(), static_cast<std::size_t>(forwards), kForward);
    for (int n = forwards; n < problem.microbatches; ++n)
      letters.insert(letters.end(), {kInput, kForward});
    letters.insert(letters.end(), static_cast<std::size_t>(forwards), kInput);
    letters.insert(letters.end(), static_cast<std::size_t>(problem.microbatches), kWeight);
  }
  return letters;
}

}  // namespace bubblescope

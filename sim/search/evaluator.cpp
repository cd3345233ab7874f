#include "sim/search/evaluator.h"

#include <algorithm>

namespace bubblescope {

Evaluator::Evaluator(const Problem& problem)
    : problem_(problem),
      length_(problem.order_length()),
      microbatches_(static_cast<std::size_t>(problem.microbatches)),
      work_(index(problem.ranks)),
      execution_(problem),
      ends_(work_.size() * length_),
      places_(ends_.size()),
      first_start_(work_.size()),
      begin_(work_.size()),
      last_end_(work_.size()),
      next_(work_.size()),
      is_awake_(work_.size()) {
  for (Rank rank = 0; rank < problem.ranks; ++rank)
    work_[index(rank)] = problem.work(rank);
}

bool Evaluator::run(std::span<const Letter> letters, Ticks most) {
  execution_.restart();
  std::fill(next_.begin(), next_.end(), 0);
  std::fill(is_awake_.begin(), is_awake_.end(), 1);
  last_end_ = work_;
  awake_.clear();
  for (Rank rank = problem_.ranks; rank-- > 0;)
    awake_.push_back(rank);
  while (!awake_.empty()) {
    const Rank rank = awake_.back();
    awake_.pop_back();
    is_awake_[index(rank)] = 0;
    if (!run_rank(rank, letters.subspan(index(rank) * length_, length_), most))
      return false;
  }
  return std::all_of(next_.begin(), next_.end(), [&](std::size_t next) { return next == length_; });
}

/// Goes on until a rank must wait for another; false if the objective exceeds `most`.
bool Evaluator::run_rank(Rank rank, std::span<const Letter> order, Ticks most) {
  const std::size_t r = index(rank);
  std::size_t place = next_[r];
  for (; place < length_; ++place) {
    const Track track = problem_.track(rank, order[place]);
    if (!execution_.has_input(track))
      break;
    places_[index(track) * microbatches_ + index(execution_.done(track))] =
        static_cast<std::int32_t>(place);
    const Ticks waited = execution_.execute(rank, track);
    ends_[r * length_ + place] = execution_.free_at(rank);
    last_end_[r] += waited;
    if (place == 0) {
      first_start_[r] = waited;
      begin_[r] = problem_.objective == Objective::Span ? waited : 0;
    }
    if (last_end_[r] - begin_[r] > most)
      return false;
    const Rank next_rank = problem_.costs(track).next_rank;
    if (next_rank != rank && is_awake_[index(next_rank)] == 0) {
      is_awake_[index(next_rank)] = 1;
      awake_.push_back(next_rank);
    }
  }
  next_[r] = place;
  return true;
}

Score Evaluator::score() const {
  Score score;
  for (std::size_t rank = 0; rank < last_end_.size(); ++rank) {
    score.step = std::max(score.step, last_end_[rank]);
    score.span = std::max(score.span, last_end_[rank] - first_start_[rank]);
  }
  return score;
}

}  // namespace bubblescope

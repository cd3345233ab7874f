#include "sim/search/annealing.h"

#include <algorithm>
#include <array>

namespace bubblescope {

Annealing::Annealing(const Problem& problem, std::uint64_t seed)
    : problem_(problem),
      length_(problem.order_length()),
      producer_(problem.tracks.size(), kNoTrack),
      engine_(seed),
      evaluator_(problem) {
  Ticks sum = 0;
  for (Track track = 0; track < static_cast<Track>(producer_.size()); ++track) {
    const TrackCosts& costs = problem.costs(track);
    sum += costs.duration;
    if (costs.next != kNoTrack)
      producer_[static_cast<std::size_t>(costs.next)] = track;
  }
  threshold_ = sum * 5 / 4 / static_cast<Ticks>(producer_.size());
}

Score Annealing::improve(Letters& letters, const Options& options) {
  letters_ = letters;
  evaluator_.run(letters_);
  Score current = evaluator_.score();
  Score best = current;
  find_critical(options.frozen);
  for (int trial = 0; trial < options.trials && problem_.value(best) > options.enough; ++trial) {
    if (critical_.empty())
      break;
    const Move move = draw_move();
    if (!is_allowed(move, options.frozen))
      continue;
    apply(move);
    // threshold_ · left / trials, without a product that could overflow.
    const Ticks left = options.trials - trial;
    const Ticks threshold =
        threshold_ / options.trials * left + threshold_ % options.trials * left / options.trials;
    const Ticks most =
        problem_.value(current) + static_cast<Ticks>(draw(static_cast<std::size_t>(threshold) + 1));
    if (!fits(move) || !evaluator_.run(letters_, most)) {
      apply({.rank = move.rank, .from = move.to, .to = move.from});
      continue;
    }
    current = evaluator_.score();
    find_critical(options.frozen);
    if (problem_.is_better(current, best)) {
      best = current;
      letters = letters_;
    }
  }
  return best;
}

/// Walks back from the end of the rank that tells the objective, always to what an op waited for.
void Annealing::find_critical(std::span<const Window> frozen) {
  const auto start = [&](const Place& at) {
    const Letter letter = letters_[static_cast<std::size_t>(at.rank) * length_ + at.place];
    return evaluator_.end(at.rank, at.place) -
           problem_.costs(problem_.track(at.rank, letter)).duration;
  };
  critical_.clear();
  Place at{0, length_ - 1};
  Ticks longest = -1;
  for (Rank rank = 0; rank < problem_.ranks; ++rank) {
    const Ticks end = evaluator_.end(rank, length_ - 1);
    const Ticks value =
        problem_.objective == Objective::Span ? end - evaluator_.first_start(rank) : end;
    if (value > longest) {
      longest = value;
      at.rank = rank;
    }
  }
  for (;;) {
    if (at.place > 0 && evaluator_.end(at.rank, at.place - 1) == start(at)) {
      if (frozen.empty() || at.place < frozen[static_cast<std::size_t>(at.rank)].begin ||
          at.place > frozen[static_cast<std::size_t>(at.rank)].end)
        critical_.push_back(at);
      --at.place;
      continue;
    }
    const Letter letter = letters_[static_cast<std::size_t>(at.rank) * length_ + at.place];
    const Track track = problem_.track(at.rank, letter);
    const Track producer = producer_[static_cast<std::size_t>(track)];
    if (producer == kNoTrack)
      return;
    const auto places = evaluator_.places(track);
    const auto microbatch =
        std::lower_bound(places.begin(), places.end(), static_cast<std::int32_t>(at.place)) -
        places.begin();
    at = {.rank = producer / problem_.letters(),
          .place = static_cast<std::size_t>(
              evaluator_.places(producer)[static_cast<std::size_t>(microbatch)])};
  }
}

/// Something critical comes earlier, or what keeps it waiting goes later.
Annealing::Move Annealing::draw_move() {
  const Place at = critical_[draw(critical_.size())];
  const std::size_t farthest = draw(4) == 0 ? 8 * static_cast<std::size_t>(problem_.letters()) : 4;
  const std::size_t distance = 1 + draw(farthest);
  if (draw(2) == 0)
    return {.rank = at.rank, .from = at.place, .to = at.place - std::min(at.place, distance)};
  return {
      .rank = at.rank, .from = at.place - 1, .to = std::min(at.place - 1 + distance, length_ - 1)};
}

bool Annealing::is_allowed(const Move& move, std::span<const Window> frozen) const {
  const std::size_t first = static_cast<std::size_t>(move.rank) * length_;
  if (letters_[first + move.from] == letters_[first + move.to])
    return false;
  if (frozen.empty())
    return true;
  const Window& window = frozen[static_cast<std::size_t>(move.rank)];
  return std::max(move.from, move.to) < window.begin || std::min(move.from, move.to) >= window.end;
}

void Annealing::apply(const Move& move) {
  const auto at = [&](std::size_t place) {
    return letters_.begin() +
           static_cast<std::ptrdiff_t>(static_cast<std::size_t>(move.rank) * length_ + place);
  };
  if (move.from < move.to)
    std::rotate(at(move.from), at(move.from + 1), at(move.to + 1));
  else
    std::rotate(at(move.to), at(move.from), at(move.from + 1));
}

/// Whether the order of a rank in which a move was made keeps to the memory limit and has every
/// I after its F and every W after its I.
bool Annealing::fits(const Move& move) const {
  const auto [first, last] = std::minmax(move.from, move.to);
  std::array<int, 256> count{};
  std::int64_t memory = 0;
  const Letter* const order = letters_.data() + static_cast<std::size_t>(move.rank) * length_;
  for (std::size_t place = 0; place <= last; ++place) {
    const Letter letter = order[place];
    const OpKind kind = kind_of(letter);
    ++count[letter];
    memory += problem_.costs(problem_.track(move.rank, letter)).memory;
    if (place < first)
      continue;
    if (kind == OpKind::Forward ? memory > problem_.memory_limit
                                : count[letter] > count[letter - 1U])
      return false;
  }
  return true;
}

}  // namespace bubblescope

#include "sim/search/greedy.h"

#include <algorithm>
#include <limits>

namespace bubblescope {
namespace {

constexpr Ticks kNever = Soonest::kNever;

constexpr int in_flight_change(OpKind kind) {
  return kind == OpKind::Forward ? +1 : kind == OpKind::BackwardInput ? -1 : 0;
}

}  // namespace

Greedy::Greedy(const Problem& problem)
    : problem_(problem),
      execution_(problem),
      guide_(problem.tracks.size() * index(problem.microbatches)),
      forwards_(guide_.size() / kLetterKinds),
      most_in_flight_(index(problem.ranks)),
      in_flight_(most_in_flight_.size()),
      forwards_done_(most_in_flight_.size()),
      memory_(forwards_done_.size()),
      wake_(forwards_done_.size()),
      written_(forwards_done_.size()),
      first_start_(forwards_done_.size()) {}

void Greedy::follow(std::span<const Letter> guide) {
  const std::size_t length = problem_.order_length();
  std::vector<std::size_t> seen(problem_.tracks.size());
  std::size_t forwards = 0;
  for (Rank rank = 0; rank < problem_.ranks; ++rank) {
    int in_flight = 0;
    most_in_flight_[index(rank)] = 0;
    for (std::size_t place = 0; place < length; ++place) {
      const Letter letter = guide[index(rank) * length + place];
      const std::size_t track = index(problem_.track(rank, letter));
      guide_[track * index(problem_.microbatches) + seen[track]++] =
          static_cast<std::int32_t>(place);
      if (kind_of(letter) == OpKind::Forward)
        forwards_[forwards++] = letter;
      in_flight += in_flight_change(kind_of(letter));
      most_in_flight_[index(rank)] = std::max(most_in_flight_[index(rank)], in_flight);
    }
  }
}

Score Greedy::run(const Policy& policy, Letters& letters) {
  letters.resize(guide_.size());
  execution_.restart();
  std::fill(forwards_done_.begin(), forwards_done_.end(), 0);
  std::fill(in_flight_.begin(), in_flight_.end(), 0);
  std::fill(memory_.begin(), memory_.end(), 0);
  wake_.fill(written_.size(), 0);
  std::fill(written_.begin(), written_.end(), 0);
  while (wake_.first_time() != kNever) {
    const Rank rank = wake_.first_rank();
    Ticks later = kNever;
    const int letter = pick(policy, rank, wake_.first_time(), later);
    if (letter < 0)
      wake_.set(rank, later);
    else
      execute(rank, static_cast<Letter>(letter), letters);
  }
  Score score;
  for (Rank rank = 0; rank < problem_.ranks; ++rank) {
    const Ticks end = execution_.free_at(rank);
    score.step = std::max(score.step, end);
    score.span = std::max(score.span, end - first_start_[index(rank)]);
  }
  return score;
}

/// −1: the rank waits until `later`, or until another rank wakes it.
int Greedy::pick(const Policy& policy, Rank rank, Ticks now, Ticks& later) const {
  const Choice choice = look(policy, rank, now);
  later = choice.later;
  if (policy.forwards_yield && choice.ready >= 0 && later != kNever &&
      kind_of(static_cast<Letter>(choice.ready)) == OpKind::Forward &&
      (later - now) * 4 < problem_.costs(problem_.track(rank, choice.ready)).duration)
    return -1;
  if (choice.weight < 0)
    return choice.ready;
  if (!policy.gap_quarters && choice.weight_place < choice.ready_place)
    return choice.weight;
  if (choice.lacks_room && (policy.make_room_first || choice.ready < 0))
    return choice.weight;
  if (choice.ready >= 0)
    return choice.ready;
  const Ticks duration = problem_.costs(problem_.track(rank, choice.weight)).duration;
  const bool is_gap =
      later == kNever || (later - now) * 4 >= duration * policy.gap_quarters.value_or(0);
  return is_gap ? choice.weight : -1;
}

Greedy::Choice Greedy::look(const Policy& policy, Rank rank, Ticks now) const {
  constexpr int kNowhere = std::numeric_limits<int>::max();
  Choice choice{.ready_place = kNowhere, .weight_place = kNowhere, .later = kNever};
  const auto consider = [&](int letter, int place) {
    const Ticks at = execution_.arrival(problem_.track(rank, letter));
    if (at > now) {
      choice.later = std::min(choice.later, at);
    } else if (place < choice.ready_place) {
      choice.ready = letter;
      choice.ready_place = place;
    }
  };
  const int forwards = problem_.chunks * problem_.microbatches;
  const int done = forwards_done_[index(rank)];
  if (done < forwards) {
    const Letter letter = forwards_[index(rank) * index(forwards) + index(done)];
    const Track track = problem_.track(rank, letter);
    const bool may_go =
        in_flight_[index(rank)] < most_in_flight_[index(rank)] + policy.more_in_flight;
    const bool has_room =
        memory_[index(rank)] + problem_.costs(track).memory <= problem_.memory_limit;
    if (may_go && has_room && execution_.has_input(track))
      consider(letter, place_in_guide(track));
    choice.lacks_room =
        may_go && !has_room && execution_.has_input(track) && execution_.arrival(track) <= now;
  }
  for (int chunk = 0; chunk < problem_.chunks; ++chunk) {
    const int input = letter_of(chunk, OpKind::BackwardInput);
    const Track track = problem_.track(rank, input);
    if (execution_.has_input(track))
      consider(input, place_in_guide(track) - policy.advance_inputs);
    if (execution_.has_input(track + 1) && place_in_guide(track + 1) < choice.weight_place) {
      choice.weight = input + 1;
      choice.weight_place = place_in_guide(track + 1);
    }
  }
  return choice;
}

void Greedy::execute(Rank rank, Letter letter, Letters& letters) {
  const std::size_t r = index(rank);
  const Track track = problem_.track(rank, letter);
  const Ticks waited = execution_.execute(rank, track);
  if (written_[r] == 0)
    first_start_[r] = waited;
  letters[r * problem_.order_length() + written_[r]++] = letter;
  memory_[r] += problem_.costs(track).memory;
  in_flight_[r] += in_flight_change(kind_of(letter));
  forwards_done_[r] += kind_of(letter) == OpKind::Forward ? 1 : 0;
  const Ticks end = execution_.free_at(rank);
  wake_.set(rank, end);
  const TrackCosts& costs = problem_.costs(track);
  if (costs.next_rank != rank) {
    const Ticks may_go = std::max(execution_.free_at(costs.next_rank), end + costs.hop);
    if (may_go < wake_.time(costs.next_rank))
      wake_.set(costs.next_rank, may_go);
  }
}

}  // namespace bubblescope

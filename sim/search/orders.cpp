#include "sim/search/orders.h"

#include <algorithm>
#include <cstddef>

namespace bubblescope {
namespace {

/// The letters of one rank; none where they are no complete order.
std::optional<Letters> letters_of(const Problem& problem, const Schedule& schedule, Rank rank) {
  Letters letters;
  std::vector<int> count(static_cast<std::size_t>(problem.letters()));
  std::int64_t memory = 0;
  const auto append = [&](const Op& op, OpKind kind) {
    int chunk = 0;
    while (problem.stage(rank, chunk) != op.stage())
      ++chunk;
    letters.push_back(letter_of(chunk, kind));
    ++count[letters.back()];
    memory += problem.costs(problem.track(rank, letters.back())).memory;
    return memory <= problem.memory_limit;
  };
  for (const Action& action : schedule.order(rank)) {
    const Op op = action.op();
    const bool is_full = op.kind() == OpKind::Backward;
    if (action.is_pair() || !append(op, is_full ? OpKind::BackwardInput : op.kind()) ||
        (is_full && !append(op, OpKind::BackwardWeight)))
      return std::nullopt;
  }
  const bool is_complete = std::all_of(count.begin(), count.end(), [&](int letters_of_kind) {
    return letters_of_kind == problem.microbatches;
  });
  return is_complete ? std::optional(letters) : std::nullopt;
}

}  // namespace

std::optional<Letters> to_letters(const Problem& problem, const Schedule& schedule) {
  const Placement& placement = schedule.placement;
  if (schedule.microbatches != problem.microbatches || placement.ranks != problem.ranks ||
      placement.pipes != 1 || placement.chunks() != problem.chunks)
    return std::nullopt;
  for (Rank rank = 0; rank < problem.ranks; ++rank)
    for (int chunk = 0; chunk < problem.chunks; ++chunk)
      if (placement.rank(problem.stage(rank, chunk)) != rank)
        return std::nullopt;
  Letters letters;
  for (Rank rank = 0; rank < problem.ranks; ++rank) {
    const auto order = letters_of(problem, schedule, rank);
    if (!order)
      return std::nullopt;
    letters.insert(letters.end(), order->begin(), order->end());
  }
  return letters;
}

Schedule to_schedule(const Problem& problem, const Placement& placement, const Letters& letters) {
  Schedule schedule{.microbatches = problem.microbatches, .placement = placement};
  OrderWriter order(schedule, letters.size());
  std::vector<MicroBatch> done(problem.tracks.size());
  auto next = letters.begin();
  for (Rank rank = 0; rank < problem.ranks; ++rank) {
    for (std::size_t place = 0; place < problem.order_length(); ++place, ++next) {
      const Track track = problem.track(rank, *next);
      const MicroBatch microbatch = done[static_cast<std::size_t>(track)]++;
      const Stage stage = problem.stage(rank, chunk_of(*next));
      const OpKind kind = kind_of(*next);
      if (!problem.is_merged(stage))
        order.append(Op(kind, stage, microbatch));
      else if (kind != OpKind::BackwardWeight)
        order.append(Op(kind == OpKind::Forward ? kind : OpKind::Backward, stage, microbatch));
    }
    order.end_rank();
  }
  order.finish();
  return schedule;
}

}  // namespace bubblescope

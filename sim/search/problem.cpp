#include "sim/search/problem.h"

#include <algorithm>

namespace bubblescope {

std::int64_t Problem::memory_of_microbatch(Rank rank) const {
  std::int64_t sum = 0;
  for (int chunk = 0; chunk < chunks; ++chunk)
    sum += costs(track(rank, letter_of(chunk, OpKind::Forward))).memory;
  return sum;
}

Ticks Problem::work(Rank rank) const {
  Ticks sum = 0;
  for (int letter = 0; letter < letters(); ++letter)
    sum += costs(track(rank, letter)).duration;
  return sum * microbatches;
}

namespace {

constexpr Stage kNoStage = -1;

std::int64_t memory_change(const CostModel& costs, const Op& op, MemoryUnit unit) {
  return unit == MemoryUnit::SizeInBytes ? costs.activation_change(op)
                                         : live_activation_change(op.kind());
}

}  // namespace

Problem make_problem(const Placement& placement, const CostModel& costs, MemoryUnit unit) {
  Problem problem{.ranks = placement.ranks, .chunks = placement.chunks()};
  problem.stage_of_chunk.resize(static_cast<std::size_t>(placement.depth));
  std::vector<Track> track_of_stage;  // of its F
  std::vector<int> chunks_seen(static_cast<std::size_t>(placement.ranks));
  for (Stage stage = 0; stage < placement.depth; ++stage) {
    const Rank rank = placement.rank(stage);
    const int chunk = chunks_seen[static_cast<std::size_t>(rank)]++;
    const int place = rank * problem.chunks + chunk;
    problem.stage_of_chunk[static_cast<std::size_t>(place)] = stage;
    track_of_stage.push_back(problem.track(rank, letter_of(chunk, OpKind::Forward)));
  }
  problem.first = track_of_stage[0];
  const Track tracks = problem.track(placement.ranks, 0);
  problem.tracks.resize(static_cast<std::size_t>(tracks));
  const auto track_of = [&](Stage stage, OpKind kind) {
    return track_of_stage[static_cast<std::size_t>(stage)] + static_cast<Track>(kind);
  };
  const auto fill = [&](const Op& op, Stage next_stage, OpKind next_kind) {
    TrackCosts& track = problem.tracks[static_cast<std::size_t>(track_of(op.stage(), op.kind()))];
    track = {.duration = costs.duration(op).count(),
             .memory = memory_change(costs, op, unit),
             .next_rank = placement.rank(op.stage())};
    if (next_stage < 0)
      return;
    track.next = track_of(next_stage, next_kind);
    track.next_rank = placement.rank(next_stage);
    if (track.next_rank != placement.rank(op.stage()))
      track.hop = costs.message_time(op).count();
  };
  const auto reserve = [&](Stage stage) {
    TrackCosts& forward =
        problem.tracks[static_cast<std::size_t>(track_of(stage, OpKind::Forward))];
    TrackCosts& input =
        problem.tracks[static_cast<std::size_t>(track_of(stage, OpKind::BackwardInput))];
    problem.kept.push_back(forward.memory);
    const std::int64_t more = std::max<std::int64_t>(0, input.memory);
    forward.memory += more;
    input.memory -= more;
  };
  for (Stage stage = 0; stage < placement.depth; ++stage) {
    if (stage + 1 < placement.depth)
      fill(Op(OpKind::Forward, stage, 0), stage + 1, OpKind::Forward);
    else
      fill(Op(OpKind::Forward, stage, 0), stage, OpKind::BackwardInput);
    fill(Op(OpKind::BackwardInput, stage, 0), stage - 1, OpKind::BackwardInput);
    fill(Op(OpKind::BackwardWeight, stage, 0), kNoStage, OpKind::BackwardWeight);
    problem.full_backward.push_back(costs.duration(Op(OpKind::Backward, stage, 0)).count());
    reserve(stage);
  }
  return problem;
}

std::optional<Problem> merged(const Problem& problem) {
  Problem result = problem;
  result.merged_stages.resize(problem.stage_of_chunk.size());
  bool is_any = false;
  for (Rank rank = 0; rank < problem.ranks; ++rank)
    for (int chunk = 0; chunk < problem.chunks; ++chunk) {
      const auto stage = static_cast<std::size_t>(problem.stage(rank, chunk));
      const auto input =
          static_cast<std::size_t>(problem.track(rank, letter_of(chunk, OpKind::BackwardInput)));
      TrackCosts& forward = result.tracks[input - 1];
      TrackCosts& first = result.tracks[input];
      TrackCosts& second = result.tracks[input + 1];
      const Ticks parts = first.duration + second.duration;
      const bool holds_less = problem.kept[stage] < forward.memory;
      if (problem.full_backward[stage] >= parts + (holds_less ? 1 : 0))
        continue;
      is_any = true;
      result.merged_stages[stage] = 1;
      first.duration = problem.full_backward[stage];
      forward.memory = problem.kept[stage];
      first.memory = -problem.kept[stage];
      second.memory = 0;
      second.duration = 0;
    }
  return is_any ? std::optional(result) : std::nullopt;
}

Problem relaxed(const Problem& problem) {
  Problem result = problem;
  for (Rank rank = 0; rank < problem.ranks; ++rank)
    for (int chunk = 0; chunk < problem.chunks; ++chunk) {
      const auto stage = static_cast<std::size_t>(problem.stage(rank, chunk));
      const Ticks full = problem.full_backward[stage];
      const auto input =
          static_cast<std::size_t>(problem.track(rank, letter_of(chunk, OpKind::BackwardInput)));
      TrackCosts& first = result.tracks[input];
      TrackCosts& second = result.tracks[input + 1];
      const Ticks both = std::min(full, first.duration + second.duration);
      first.duration = std::min(first.duration, full);
      second.duration = both - first.duration;
      result.tracks[input - 1].memory = problem.kept[stage];  // nothing is reserved
      second.memory = std::max(second.memory, -problem.kept[stage]);
    }
  return result;
}

}  // namespace bubblescope

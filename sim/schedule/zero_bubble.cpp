// The hand-made schedules of Zero Bubble Pipeline Parallelism (arXiv 2401.10241): the backward is
// split, and weight gradients wait until there is nothing better to do.
#include <algorithm>

#include "sim/schedule/generators.h"

namespace bubblescope {
namespace {

Schedule one_stage_a_rank(Shape shape) {
  return {.microbatches = shape.microbatches,
          .placement = loop_placement({.ranks = shape.ranks, .chunks = 1})};
}

/// The paper's figures: rank r starts with `factor`·(p−1−r) + 1 forwards, then runs I, W and F in
/// turn, where W is `factor`·r micro-batches behind I.
Schedule hand_schedule(Shape shape, int factor) {
  Schedule schedule = one_stage_a_rank(shape);
  OrderWriter order(schedule, most_actions(shape));
  const int m = shape.microbatches;
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    const int ahead = factor * (shape.ranks - 1 - rank) + 1;
    const int delay = factor * rank;
    for (MicroBatch i = 0; i < std::min(ahead, m); ++i)
      order.append(Op{OpKind::Forward, rank, i});
    for (MicroBatch i = 0; i < m; ++i) {
      order.append(Op{OpKind::BackwardInput, rank, i});
      if (i >= delay)
        order.append(Op{OpKind::BackwardWeight, rank, i - delay});
      if (ahead + i < m)
        order.append(Op{OpKind::Forward, rank, ahead + i});
    }
    for (MicroBatch i = std::max(0, m - delay); i < m; ++i)
      order.append(Op{OpKind::BackwardWeight, rank, i});
    order.end_rank();
  }
  order.finish();
  return schedule;
}

}  // namespace

Schedule zb_h1(Shape shape) {
  Schedule schedule = one_stage_a_rank(shape);
  OrderWriter order(schedule, most_actions(shape));
  const int m = shape.microbatches;
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    const int ahead = std::min(shape.ranks - 1 - rank, m);
    for (MicroBatch i = 0; i < ahead; ++i)
      order.append(Op{OpKind::Forward, rank, i});
    // The first r backwards are split, and those from the last forward on; rank 0 splits none.
    const int drain = std::max(0, m - ahead - 1);
    const auto is_split = [&](MicroBatch i) { return rank > 0 && (i < rank || i >= drain); };
    MicroBatch next_weight = 0;
    const auto pop_weight = [&] {
      while (next_weight < m && !is_split(next_weight))
        ++next_weight;
      if (next_weight < m)
        order.append(Op{OpKind::BackwardWeight, rank, next_weight++});
    };
    for (MicroBatch i = 0; i < m; ++i) {
      if (ahead + i < m)
        order.append(Op{OpKind::Forward, rank, ahead + i});
      order.append(Op{is_split(i) ? OpKind::BackwardInput : OpKind::Backward, rank, i});
      if (rank > 0 && i >= drain)
        pop_weight();
    }
    for (int i = 0; i < m && rank > 0; ++i)
      pop_weight();
    order.end_rank();
  }
  order.finish();
  return schedule;
}

Schedule zb_h1_paper(Shape shape) {
  return hand_schedule(shape, 1);
}

Schedule zb_h2(Shape shape) {
  return hand_schedule(shape, 2);
}

std::optional<Misfit> zb_h1_paper_misfit(Shape shape) {
  return needs_microbatches(shape, shape.ranks,
                            "its first rank needs m ≥ p micro-batches to fill the pipeline");
}

std::optional<Misfit> zb_h2_misfit(Shape shape) {
  return needs_microbatches(shape, 2 * std::int64_t{shape.ranks} - 1,
                            "its first rank needs m ≥ 2p − 1 micro-batches to fill the pipeline");
}

}  // namespace bubblescope

// GPipe and 1F1B: one stage a rank, full backwards.
#include <algorithm>

#include "sim/schedule/generators.h"

namespace bubblescope {
namespace {

/// On each rank: `warm_up(rank)` forwards, then a forward and a backward in turn, then what is left
/// of the backwards.
template <typename WarmUp>
Schedule forwards_ahead(Shape shape, WarmUp&& warm_up) {
  Schedule schedule{.microbatches = shape.microbatches,
                    .placement = loop_placement({.ranks = shape.ranks, .chunks = 1})};
  const int m = shape.microbatches;
  OrderWriter order(schedule, most_actions(shape));
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    const int ahead = std::min(warm_up(rank), m);
    for (MicroBatch i = 0; i < ahead; ++i)
      order.append(Op{OpKind::Forward, rank, i});
    for (MicroBatch i = 0; i < m; ++i) {
      if (ahead + i < m)
        order.append(Op{OpKind::Forward, rank, ahead + i});
      order.append(Op{OpKind::Backward, rank, i});
    }
    order.end_rank();
  }
  order.finish();
  return schedule;
}

}  // namespace

Schedule gpipe(Shape shape) {
  return forwards_ahead(shape, [&](Rank) { return shape.microbatches; });
}

Schedule one_f_one_b(Shape shape) {
  return forwards_ahead(shape, [&](Rank rank) { return shape.ranks - 1 - rank; });
}

}  // namespace bubblescope

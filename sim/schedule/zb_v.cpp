// ZB-V (arXiv 2401.10241, section 6): the Zero Bubble schedule on a V, with the memory of 1F1B. The
// order is PyTorch's ScheduleZBVZeroBubble.
#include <algorithm>

#include "sim/schedule/generators.h"

namespace bubblescope {
namespace {

/// Writes the order of one rank, for at least 2p−1 micro-batches; those beyond m are left out.
class RankOrder {
 public:
  RankOrder(Shape shape, Rank rank, OrderWriter& order)
      : order_(order),
        microbatches_(shape.microbatches),
        steady_(std::max(2 * shape.ranks - 1, shape.microbatches)),
        ranks_(shape.ranks),
        rank_(rank) {}

  void write() {
    for (int i = 0; i < 2 * (ranks_ - rank_) - 1; ++i)
      forward(0);
    for (int i = 0; i < rank_; ++i) {
      forward(1);
      forward(0);
    }
    for (int i = 0; i < ranks_ - rank_; ++i) {
      forward(1);
      input(1);
      weight(1);
    }
    while (forwards_[1] < forwards_[0] || forwards_[0] < steady_) {
      if (forwards_[0] < steady_)
        forward(0);
      input(0);
      weight(0);
      forward(1);
      input(1);
      weight(1);
    }
    drain();
    order_.end_rank();
  }

 private:
  void drain() {
    for (int i = 0; i < rank_; ++i) {
      input(0);
      input(1);
    }
    for (int i = 0; i < ranks_ - rank_; ++i) {
      input(0);
      weight(0);
    }
    while (weights_[1] < inputs_[1])
      weight(1);
    while (weights_[0] < inputs_[0])
      weight(0);
  }

  void forward(int chunk) { append(OpKind::Forward, chunk, forwards_); }
  void input(int chunk) { append(OpKind::BackwardInput, chunk, inputs_); }
  void weight(int chunk) { append(OpKind::BackwardWeight, chunk, weights_); }

  void append(OpKind kind, int chunk, int (&done)[2]) {
    const Stage stage = chunk == 0 ? rank_ : 2 * ranks_ - 1 - rank_;
    const MicroBatch microbatch = done[chunk]++;
    if (microbatch < microbatches_)
      order_.append(Op(kind, stage, microbatch));
  }

  OrderWriter& order_;
  int microbatches_;
  int steady_;  // micro-batches that the pattern is written for
  int ranks_;
  Rank rank_;
  int forwards_[2] = {};  // [chunk] done so far
  int inputs_[2] = {};
  int weights_[2] = {};
};

}  // namespace

Schedule zb_v(Shape shape) {
  Schedule schedule{.microbatches = shape.microbatches, .placement = v_placement(shape.ranks)};
  OrderWriter order(schedule, most_actions(shape));
  for (Rank rank = 0; rank < shape.ranks; ++rank)
    RankOrder(shape, rank, order).write();
  order.finish();
  return schedule;
}

}  // namespace bubblescope

// DualPipe (DeepSeek-V3, arXiv 2412.19437): micro-batches enter at both ends, and a rank overlaps
// the forward of one direction with the backward of the other. The order is that of the authors'
// code: deepseek-ai/DualPipe, dualpipe.py, DualPipe.step, whose eight phases are named here.
#include <algorithm>
#include <utility>
#include <vector>

#include "sim/schedules/generators.h"

namespace bubblescope {
namespace {

/// Writes the order of one rank. Directions are relative to the rank, as in the authors' code:
/// 0 is the pipe that enters at the rank's own half, 1 the other one.
class RankOrder {
 public:
  RankOrder(Shape shape, Rank rank, OrderWriter& order)
      : order_(order),
        ranks_(shape.ranks),
        microbatches_(shape.microbatches),
        rank_(rank),
        half_rank_(std::min(rank, ranks_ - 1 - rank)),
        outward_(ranks_ / 2 - 1 - half_rank_),
        in_second_half_(rank >= ranks_ / 2) {}

  void write() {
    fill();
    steady();
    drain();
    order_.end_rank();
  }

 private:
  void fill() {
    for (int i = 0; i < 2 * outward_; ++i)  // phase 1: F0
      forward(0);
    for (int i = 0; i <= half_rank_; ++i) {  // phase 2: F0 F1
      forward(0);
      forward(1);
    }
    for (int i = 0; i < outward_; ++i) {  // phase 3: I1 W1 F1
      backward(1, true);
      weights();
      forward(1);
    }
  }

  void steady() {
    const bool middle = outward_ == 0;
    const int count = microbatches_ / 2 - ranks_ + half_rank_ + 1;
    for (int i = 0; i < count; ++i) {  // phase 4: F0&B1 F1&B0
      if (i == 0 && middle) {          // these two do not overlap, which makes the bubble smaller
        forward(0);
        backward(1, false);
      } else {
        forward_backward(0);
      }
      forward_backward(1);
    }
    for (int i = 0; i < outward_; ++i) {  // phase 5: B1 F1&B0
      backward(1, false);
      forward_backward(1);
    }
  }

  void drain() {
    // Phase 6: B1 B0, of which the second half is split.
    const int half = (half_rank_ + 1) / 2;
    const bool odd = half_rank_ % 2 == 1;
    for (int i = 0; i <= half_rank_; ++i) {
      backward(1, odd ? i >= half : i > half);
      backward(0, i >= half);
    }
    for (int i = 0; i < outward_; ++i) {  // phase 7: W I0
      weights();
      backward(0, true);
    }
    for (int i = 0; i <= half_rank_; ++i)  // phase 8: W
      weights();
  }

  /// The next micro-batch of a direction, counted apart for forwards and backwards.
  Op next(OpKind kind, int direction, int (&done)[2]) {
    const int pipe = in_second_half_ ? 1 - direction : direction;
    const Stage position = pipe == 0 ? rank_ : ranks_ - 1 - rank_;
    const MicroBatch first = pipe * (microbatches_ / 2);
    return {kind, pipe * ranks_ + position, first + done[direction]++};
  }

  void forward(int direction) { order_.append(next(OpKind::Forward, direction, forwards_)); }

  void backward(int direction, bool split) {
    const OpKind kind = split ? OpKind::BackwardInput : OpKind::Backward;
    const Op op = next(kind, direction, backwards_);
    order_.append(op);
    if (split)
      delayed_.push_back({OpKind::BackwardWeight, op.stage(), op.microbatch()});
  }

  /// F of `direction` with B of the other one.
  void forward_backward(int direction) {
    const Op forward = next(OpKind::Forward, direction, forwards_);
    const Op backward = next(OpKind::Backward, 1 - direction, backwards_);
    order_.append({forward, backward});
  }

  /// The oldest W that is still to be done.
  void weights() { order_.append(delayed_[next_delayed_++]); }

  OrderWriter& order_;
  int ranks_;
  int microbatches_;
  Rank rank_;
  int half_rank_;  // distance from the nearer end of the pipeline
  int outward_;    // distance from the middle pair of ranks
  bool in_second_half_;
  int forwards_[2] = {};   // [direction] done so far
  int backwards_[2] = {};  // [direction] done so far
  std::vector<Op> delayed_;
  std::size_t next_delayed_ = 0;
};

}  // namespace

Schedule dualpipe(Shape shape) {
  Schedule schedule{.microbatches = shape.microbatches,
                    .placement = bidirectional_placement(shape.ranks)};
  // At most F, I and W of every micro-batch, which passes every rank in one direction or the other.
  OrderWriter order(schedule, most_actions(shape));
  for (Rank rank = 0; rank < shape.ranks; ++rank)
    RankOrder(shape, rank, order).write();
  order.finish();
  return schedule;
}

std::optional<Misfit> dualpipe_misfit(Shape shape) {
  const auto even = [](std::int64_t n) { return n + n % 2; };
  const std::int64_t ranks = even(shape.ranks);
  const std::int64_t microbatches = std::max(even(shape.microbatches), 2 * ranks);
  if (ranks == shape.ranks && microbatches == shape.microbatches)
    return std::nullopt;
  const char* reason = ranks != shape.ranks ? "two pipes meet in the middle, so p must be even"
                       : shape.microbatches % 2 != 0
                           ? "half of the micro-batches enter at each end, so m must be even"
                           : "it needs m ≥ 2p micro-batches to fill both pipes";
  Shape nearest = shape;
  nearest.ranks = static_cast<int>(ranks);
  nearest.microbatches = static_cast<int>(microbatches);
  return Misfit{reason, nearest};
}

}  // namespace bubblescope

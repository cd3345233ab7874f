// DualPipe (DeepSeek-V3, arXiv 2412.19437): micro-batches enter at both ends, and a rank overlaps
// the forward of one direction with the backward of the other. DualPipeV folds it: one pipe goes
// through the ranks and back, so that half as many ranks hold the model once. The orders, and the
// batches of messages between, are those of the authors' code, deepseek-ai/DualPipe, DualPipe.step
// and DualPipeV.step: the same eight phases, which are named here.
#include <algorithm>
#include <utility>
#include <vector>

#include "sim/schedule/generators.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

/// One of the two ways in which micro-batches pass a rank.
struct Direction {
  Stage stage;
  MicroBatch first;  // of its micro-batches, which are numbered on from there
};

/// Where a rank lies, and what passes it. Direction 0 enters at the nearer end.
struct Position {
  int from_end;      // ranks between it and the nearer end
  int from_turn;     // ranks between it and where the directions meet, or the pipe turns
  int microbatches;  // of each direction
  Direction directions[2];
};

/// Writes the order of one rank, and its batches: what is sent or received goes into the batch
/// before the action that is written next.
class RankOrder {
 public:
  /// Writes no batches where `transfers` is null.
  RankOrder(const Position& position, const Placement& placement, OrderWriter& order,
            Transfers* transfers)
      : position_(position), placement_(placement), order_(order), transfers_(transfers) {}

  void write() {
    fill();
    steady();
    drain();
    end_batch();
    order_.end_rank();
  }

 private:
  void fill() {
    for (int i = 0; i < 2 * position_.from_turn; ++i)  // phase 1: F0
      forward(0);
    receive_forward(0);
    for (int i = 0; i <= position_.from_end; ++i) {  // phase 2: F0 F1
      compute_forward(0);
      if (at_turn())
        send_forward(0);
      receive_forward(0);
      receive_forward(1);
      compute_forward(1);
      if (!at_turn() || i < position_.from_end)
        send_forward(1);
      if (!at_turn())
        send_forward(0);
    }
    for (int i = 0; i < position_.from_turn; ++i) {  // phase 3: I1 W1 F1
      backward(1, true);
      receive_forward(1);
      weights();
      compute_forward(1);
      send_forward(1);
    }
  }

  void steady() {
    const int count = position_.microbatches - 2 * position_.from_turn - position_.from_end - 1;
    for (int i = 0; i < count; ++i) {  // phase 4: F0&B1 F1&B0
      if (i > 0)
        receive_forward(0);
      if (i == 0 && at_turn())
        turn();
      else
        forward_backward(0);
      receive_forward(1);
      forward_backward(1);
    }
    for (int i = 0; i < position_.from_turn; ++i) {  // phase 5: B1 F1&B0
      backward(1, false);
      receive_forward(1);
      forward_backward(1);
    }
  }

  /// The first F0 and B1 at the turn do not overlap, which makes the bubble smaller.
  void turn() {
    compute_forward(0);
    send_forward(1);
    receive_backward(1);
    compute_backward(1, false);
    send_forward(0);
    send_backward(1);
  }

  void drain() {
    // Phase 6: B1 B0, of which the second half is split.
    const int half = (position_.from_end + 1) / 2;
    const bool odd = position_.from_end % 2 == 1;
    for (int i = 0; i <= position_.from_end; ++i) {
      backward(1, odd ? i >= half : i > half);
      backward(0, i >= half);
    }
    for (int i = 0; i < position_.from_turn; ++i) {  // phase 7: W I0
      weights();
      backward(0, true);
    }
    for (int i = 0; i <= position_.from_end; ++i)  // phase 8: W
      weights();
  }

  bool at_turn() const { return position_.from_turn == 0; }

  void forward(int direction) {
    receive_forward(direction);
    compute_forward(direction);
    send_forward(direction);
  }

  void backward(int direction, bool split) {
    receive_backward(direction);
    compute_backward(direction, split);
    send_backward(direction);
  }

  /// F of `direction`, which is received, with B of the other one.
  void forward_backward(int direction) {
    receive_backward(1 - direction);
    const Op forward = next(OpKind::Forward, direction, forwards_);
    const Op backward = next(OpKind::Backward, 1 - direction, backwards_);
    compute({forward, backward});
    send_forward(direction);
    send_backward(1 - direction);
  }

  void compute_forward(int direction) { compute(next(OpKind::Forward, direction, forwards_)); }

  void compute_backward(int direction, bool split) {
    const OpKind kind = split ? OpKind::BackwardInput : OpKind::Backward;
    const Op op = next(kind, direction, backwards_);
    compute(op);
    if (split)
      delayed_.push_back({OpKind::BackwardWeight, op.stage(), op.microbatch()});
  }

  /// The oldest W that is still to be done.
  void weights() { compute(delayed_[next_delayed_++]); }

  void compute(Action action) {
    end_batch();
    order_.append(action);
  }

  /// The next micro-batch of a direction; each kind of work and of transfer counts for itself.
  Op next(OpKind kind, int direction, int (&done)[2]) {
    const Direction& way = position_.directions[direction];
    return {kind, way.stage, way.first + done[direction]++};
  }

  void send_forward(int direction) { send(next(OpKind::Forward, direction, sent_forward_)); }
  void send_backward(int direction) {
    send(next(OpKind::BackwardInput, direction, sent_backward_));
  }
  void receive_forward(int direction) {
    receive(next(OpKind::Forward, direction, received_forward_));
  }
  void receive_backward(int direction) {
    receive(next(OpKind::BackwardInput, direction, received_backward_));
  }

  void send(Op output) {
    if (transfers_ == nullptr)
      return;
    if (const auto message = message_from(placement_, output))
      transfers_->post_in_batch({output, message->to, true});
  }

  void receive(Op reader) {
    if (transfers_ == nullptr)
      return;
    if (const auto message = message_to(placement_, reader))
      transfers_->post_in_batch({message->output, message->from, false});
  }

  void end_batch() {
    if (transfers_ != nullptr)
      transfers_->end_slot();
  }

  Position position_;
  const Placement& placement_;
  OrderWriter& order_;
  Transfers* transfers_;
  int forwards_[2] = {};  // [direction] done so far, as all below
  int backwards_[2] = {};
  int sent_forward_[2] = {};
  int sent_backward_[2] = {};
  int received_forward_[2] = {};
  int received_backward_[2] = {};
  std::vector<Op> delayed_;  // W still to be done, and those done
  std::size_t next_delayed_ = 0;
};

Schedule write_dualpipe(Shape shape, Transfers* transfers) {
  const int p = shape.ranks;
  const int half = shape.microbatches / 2;
  Schedule schedule{.microbatches = shape.microbatches, .placement = bidirectional_placement(p)};
  // At most F, I and W of every micro-batch, which passes every rank in one direction or the other.
  OrderWriter order(schedule, most_actions(shape));
  for (Rank rank = 0; rank < p; ++rank) {
    Position position = {.from_end = std::min(rank, p - 1 - rank),
                         .from_turn = p / 2 - 1 - std::min(rank, p - 1 - rank),
                         .microbatches = half,
                         .directions = {{rank, 0}, {p + (p - 1 - rank), half}}};
    if (rank >= p / 2)
      std::swap(position.directions[0], position.directions[1]);
    RankOrder(position, schedule.placement, order, transfers).write();
  }
  order.finish();
  return schedule;
}

Schedule write_dualpipev(Shape shape, Transfers* transfers) {
  const int p = shape.ranks;
  Schedule schedule{.microbatches = shape.microbatches, .placement = v_placement(p)};
  OrderWriter order(schedule, most_actions(shape));
  for (Rank rank = 0; rank < p; ++rank) {
    const Position position = {.from_end = rank,
                               .from_turn = p - 1 - rank,
                               .microbatches = shape.microbatches,
                               .directions = {{rank, 0}, {2 * p - 1 - rank, 0}}};
    RankOrder(position, schedule.placement, order, transfers).write();
  }
  order.finish();
  return schedule;
}

}  // namespace

Schedule dualpipe(Shape shape) {
  return write_dualpipe(shape, nullptr);
}

Schedule dualpipev(Shape shape) {
  return write_dualpipev(shape, nullptr);
}

Transfers dualpipe_batches(Shape shape) {
  Transfers transfers;
  write_dualpipe(shape, &transfers);
  return transfers;
}

Transfers dualpipev_batches(Shape shape) {
  Transfers transfers;
  write_dualpipev(shape, &transfers);
  return transfers;
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

std::optional<Misfit> dualpipev_misfit(Shape shape) {
  return needs_microbatches(shape, 2 * std::int64_t{shape.ranks},
                            "it needs m ≥ 2p micro-batches to fill the pipe both ways");
}

}  // namespace bubblescope

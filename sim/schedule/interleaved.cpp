// Schedules in which a rank holds v stages, p apart, and takes the micro-batches through them in
// groups: Megatron's and PyTorch's interleaved 1F1B, its Zero Bubble form, and looped BFS.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "sim/schedule/generators.h"

namespace bubblescope {
namespace {

/// The forwards of a rank, or its backwards: a group of micro-batches passes all chunks of the rank
/// before the next group begins. The last group may be smaller.
class GroupedOps {
 public:
  /// `group_size` ≤ m.
  GroupedOps(Shape shape, int group_size, Rank rank)
      : shape_(shape), group_size_(group_size), rank_(rank) {}

  int size() const { return *shape_.chunks * shape_.microbatches; }
  /// `count`, or all where there are not so many.
  int at_most(std::int64_t count) const {
    return static_cast<int>(std::min<std::int64_t>(count, size()));
  }
  Op forward(int index) const { return op(OpKind::Forward, index, false); }
  /// `kind` is B, I or W; the chunks are passed from the last to the first.
  Op backward(OpKind kind, int index) const { return op(kind, index, true); }

 private:
  Op op(OpKind kind, int index, bool from_last) const {
    const int v = *shape_.chunks;
    const int group = index / (group_size_ * v);
    const int first = group * group_size_;
    const int size = std::min(group_size_, shape_.microbatches - first);
    const int within = index - first * v;
    const int chunk = from_last ? v - 1 - within / size : within / size;
    return {kind, chunk * shape_.ranks + rank_, first + within % size};
  }

  Shape shape_;
  int group_size_;
  Rank rank_;
};

Schedule loop_schedule(Shape shape) {
  return {.microbatches = shape.microbatches,
          .placement = loop_placement({.ranks = shape.ranks, .chunks = *shape.chunks})};
}

/// One turn of the steady state: the forward, where there is one left, then the backward, or both
/// as an F&B pair.
void append_forward_backward(OrderWriter& order, bool as_pair, const std::optional<Op>& forward,
                             const Op& backward) {
  if (forward && as_pair) {
    order.append({*forward, backward});
    return;
  }
  if (forward)
    order.append(*forward);
  order.append(backward);
}

/// 1F1B over grouped ops: (v−1) groups, and two more for each rank behind, are run ahead; then a
/// forward and a backward in turn. As F&B pairs, these run one forward more ahead, so that the two
/// belong to other micro-batches or chunks.
Schedule interleaved(Shape shape, int group_size, bool pairs) {
  Schedule schedule = loop_schedule(shape);
  OrderWriter order(schedule, most_actions(shape));
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    const GroupedOps ops(shape, group_size, rank);
    const int ahead = ops.at_most((*shape.chunks - 1) * std::int64_t{group_size} +
                                  2 * std::int64_t{shape.ranks - 1 - rank} + (pairs ? 1 : 0));
    for (int i = 0; i < ahead; ++i)
      order.append(ops.forward(i));
    for (int i = 0; i < ops.size(); ++i)
      append_forward_backward(
          order, pairs,
          ahead + i < ops.size() ? std::optional(ops.forward(ahead + i)) : std::nullopt,
          ops.backward(OpKind::Backward, i));
    order.end_rank();
  }
  order.finish();
  return schedule;
}

/// PyTorch takes as many rounds as p goes into m, and all of one size.
int rounds(Shape shape) {
  return std::max(1, shape.microbatches / shape.ranks);
}

}  // namespace

Schedule interleaved_1f1b(Shape shape) {
  return interleaved(shape, shape.group_size.value_or(shape.ranks), false);
}

Schedule interleaved_1f1b_overlap(Shape shape) {
  return interleaved(shape, shape.group_size.value_or(shape.ranks), true);
}

Schedule interleaved_1f1b_torch(Shape shape) {
  return interleaved(shape, shape.microbatches / rounds(shape), false);
}

/// W waits for as many more backwards as there are ranks before this one.
Schedule interleaved_zb_torch(Shape shape) {
  Schedule schedule = loop_schedule(shape);
  OrderWriter order(schedule, most_actions(shape));
  const int group_size = shape.microbatches / rounds(shape);
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    const GroupedOps ops(shape, group_size, rank);
    const int ahead =
        ops.at_most((*shape.chunks - 1) * std::int64_t{group_size} + shape.ranks - 1 - rank);
    for (int i = 0; i < ahead; ++i)
      order.append(ops.forward(i));
    for (int i = 0; i < ops.size() + rank; ++i) {
      if (ahead + i < ops.size())
        order.append(ops.forward(ahead + i));
      if (i < ops.size())
        order.append(ops.backward(OpKind::BackwardInput, i));
      if (i >= rank)
        order.append(ops.backward(OpKind::BackwardWeight, i - rank));
    }
    order.end_rank();
  }
  order.finish();
  return schedule;
}

/// All micro-batches pass a chunk before the next one begins; backwards in the opposite order.
Schedule looped_bfs(Shape shape) {
  Schedule schedule = loop_schedule(shape);
  OrderWriter order(schedule, most_actions(shape));
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    const GroupedOps ops(shape, shape.microbatches, rank);
    for (int i = 0; i < ops.size(); ++i)
      order.append(ops.forward(i));
    for (int i = ops.size(); i-- > 0;) {
      const Op forward = ops.forward(i);
      order.append(Op(OpKind::Backward, forward.stage(), forward.microbatch()));
    }
    order.end_rank();
  }
  order.finish();
  return schedule;
}

std::optional<Misfit> interleaved_1f1b_misfit(Shape shape) {
  const int p = shape.ranks;
  std::string reason;
  if (shape.group_size && *shape.group_size < p) {
    reason = "a group needs p micro-batches or more, or ranks wait for its end";
    shape.group_size = p;
  } else if (shape.group_size && *shape.group_size > shape.microbatches) {
    reason = "a group cannot have more micro-batches than the step";
    shape.group_size = std::max(shape.microbatches, p);
  }
  const int rest = shape.microbatches % shape.group_size.value_or(p);
  if (rest > 0 && rest < p) {
    if (reason.empty())
      reason = fmt::format("the last group, of {}, has fewer micro-batches than p", rest);
    shape.microbatches += p - rest;
  }
  return reason.empty() ? std::nullopt : std::optional(Misfit{reason, shape});
}

std::optional<Misfit> rounds_misfit(Shape shape) {
  const auto fits = [](Shape any) { return any.microbatches % rounds(any) == 0; };
  if (fits(shape))
    return std::nullopt;
  const std::string reason =
      fmt::format("m must be a multiple of its ⌊m/p⌋ = {} rounds", rounds(shape));
  while (!fits(shape))  // a multiple of p, at the latest
    ++shape.microbatches;
  return Misfit{reason, shape};
}

}  // namespace bubblescope

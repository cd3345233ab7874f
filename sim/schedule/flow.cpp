// Schedules in which micro-batches flow at one speed: every slot takes each of them one stage on,
// to the last stage and back to the first, and every other slot lets one in. On the right placement
// no two ever meet on a rank. Chimera (Li and Hoefler, arXiv 2107.06925; the authors' code,
// Shigangli/Chimera, walks its micro-batches in the same way) and Hanayo's waves (Liu et al., arXiv
// 2308.15762), which are one pipe.
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "sim/schedule/generators.h"

namespace bubblescope {
namespace {

/// The order that the flow gives. Micro-batches enter each pipe in units of `unit`; a unit follows
/// when the first micro-batch of the last one is back.
Schedule flow(Shape shape, Placement placement, int unit) {
  Schedule schedule{.microbatches = shape.microbatches, .placement = std::move(placement)};
  const Placement& place = schedule.placement;
  const int round_trip = 2 * place.depth;
  const int per_pipe = schedule.microbatches_per_pipe();
  const auto slot = [&](int i, int after_entry) {
    const std::int64_t entry = std::int64_t{i / unit} * round_trip + std::int64_t{2} * (i % unit);
    return static_cast<std::size_t>(entry + after_entry);
  };
  std::vector<std::vector<Stage>> stages_of_rank(static_cast<std::size_t>(place.ranks));
  for (Stage stage = 0; stage < place.stages(); ++stage)
    stages_of_rank[static_cast<std::size_t>(place.rank(stage))].push_back(stage);
  OrderWriter order(schedule, most_actions(shape));
  for (const std::vector<Stage>& stages : stages_of_rank) {
    std::vector<std::optional<Op>> ops(slot(per_pipe - 1, round_trip));  // [slot]
    for (const Stage stage : stages) {
      const int depth = stage % place.depth;
      const MicroBatch first = stage / place.depth * per_pipe;
      for (int i = 0; i < per_pipe; ++i) {
        ops[slot(i, depth)] = Op(OpKind::Forward, stage, first + i);
        ops[slot(i, round_trip - 1 - depth)] = Op(OpKind::Backward, stage, first + i);
      }
    }
    for (const auto& op : ops)
      if (op)
        order.append(*op);
    order.end_rank();
  }
  order.finish();
  return schedule;
}

struct Reasons {
  const char* odd;
  const char* multiple;
};

/// Of a schedule for which `asked` has to be made `even`, and m a multiple of p.
std::optional<Misfit> even_misfit(Shape asked, Shape even, Reasons reasons) {
  const bool is_odd = even.ranks != asked.ranks || even.chunks != asked.chunks;
  const std::int64_t p = even.ranks;
  const std::int64_t microbatches = (even.microbatches + p - 1) / p * p;
  if (!is_odd && microbatches == even.microbatches)
    return std::nullopt;
  return other_microbatches(even, microbatches, is_odd ? reasons.odd : reasons.multiple);
}

}  // namespace

Schedule chimera(Shape shape) {
  return flow(shape, bidirectional_placement(shape.ranks), shape.ranks / 2);
}

Schedule hanayo(Shape shape) {
  return flow(shape, wave_placement({.ranks = shape.ranks, .chunks = *shape.chunks}), shape.ranks);
}

std::optional<Misfit> chimera_misfit(Shape shape) {
  Shape even = shape;
  even.ranks += even.ranks % 2;
  return even_misfit(shape, even,
                     {.odd = "two pipes meet in the middle, so p must be even",
                      .multiple = "each pipe takes p/2 micro-batches at a time, so m must be a "
                                  "multiple of p"});
}

std::optional<Misfit> hanayo_misfit(Shape shape) {
  Shape even = shape;
  even.chunks = *even.chunks + *even.chunks % 2;
  return even_misfit(shape, even,
                     {.odd = "a wave goes down and up again, so v must be even",
                      .multiple = "the waves take p micro-batches at a time, so m must be a "
                                  "multiple of p"});
}

}  // namespace bubblescope

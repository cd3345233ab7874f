// Places the messages of a schedule: which way the ranks talk, and what they post when.
#pragma once

#include <optional>

#include "sim/program/posted_program.h"
#include "sim/schedule/catalogue.h"

namespace bubblescope {

/// How ranks talk: a framework may have another way for stages that are interleaved.
struct CommWays {
  Comm plain = {};
  std::optional<Comm> interleaved = {};

  Comm of(const CatalogueEntry& entry, int chunks) const {
    return entry.any_chunks && chunks > 1 ? interleaved.value_or(plain) : plain;
  }
};

/// Throws Error where `check_orders` does, or where ranks wait for one another in a circle and
/// `comm` is Batched or Torch, which come from a run of the schedule.
///
/// Stream: the messages of an ordered pair of ranks travel in the order in which they are made. A
/// receive is posted when the action before its consumer starts, or earlier, where one that comes
/// after it has to be.
///
/// Batched: the schedule runs in unit time (F = I = W = 1, messages 0). Each message gets a moment
/// between the one when it is made and the start of the action that needs it: the one at which its
/// two ranks come to their next actions with the least time between them. Both ends go into the
/// batch before their rank's first action that starts at this moment or later, in order of moments.
/// That cannot deadlock: by induction on start times, all that a batch waits for is made before its
/// action starts. Nor can it cross messages, since all ranks have them in one order.
///
/// Torch: as sim/program/torch_posting.h tells.
PostedProgram post_messages(Schedule schedule, Comm comm);

/// A schedule of the catalogue with its communication spelled out: the authors' own batches where
/// it has them, else as `post_messages` makes them. Throws as `make_schedule` does.
PostedProgram post_messages(const CatalogueEntry& entry, Shape shape, Comm comm);

}  // namespace bubblescope

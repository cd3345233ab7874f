// From a posted schedule to a program: streams, and what waits for what.
#pragma once

#include "sim/program/program.h"

namespace bubblescope {

/// Lowers a schedule whose orders are sound. Its messages need not be: the k-th send from one rank
/// to another is paired with the k-th receive, as communication libraries do it, whatever they
/// carry; ideal messages are paired by what they carry. Throws Error where a send or a receive has
/// no other end.
///
/// Ideal: an action is followed by the sends of its outputs and preceded by the receives of its
/// inputs, on one stream. Batched: so are batches. Stream and Torch: each transfer is on the stream
/// of its channel and waits for the action that posts it; an action waits for the receives that it
/// needs.
Program lower(PostedProgram posted);

}  // namespace bubblescope

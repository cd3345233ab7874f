#pragma once

#include "sim/schedule/schedule.h"

namespace bubblescope {

/// Throws Error unless every rank's order is complete and sound (`check_orders`) and nothing waits
/// in a circle; the message then shows a shortest one by rank, action and micro-batch.
void validate(const Schedule& schedule);

}  // namespace bubblescope

#pragma once

#include <string>

#include "sim/program/program.h"

namespace bubblescope {

/// Whether a program can run to its end; an unsound one (`find_fault`) may do so too.
bool can_run(const Program& program);

/// Why it cannot: a circle of ranks that wait for one another where the run stops, with as few such
/// waits as there are in one. (Where looking for the fewest would take more than about a second,
/// the best that was found.)
///
///     ranks wait for one another in a circle:
///       rank 0, step 4 (0RECV_B0) waits for rank 1, step 5 (1SEND_B0),
///       which stands behind rank 1, step 4 (1RECV_F1),
///       which waits for rank 0, step 5 (0SEND_F1),
///       which stands behind rank 0, step 4 (0RECV_B0)
std::string describe_deadlock(const Program& program);

}  // namespace bubblescope

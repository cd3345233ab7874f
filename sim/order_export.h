// A schedule's order, and a program, as text for other programs.
#pragma once

#include <string>

#include "sim/program.h"

namespace bubblescope {

/// PyTorch's compute-only CSV: one line a rank, cells joined by commas.
///
///     0F0,0F1,0B0,0B1
///     1F0,1B0,1F1,1B1
std::string to_torch_csv(const Schedule& schedule);

/// "bubblescope-program/1": the placement, then one line of steps a rank. A batch is waited for by
/// the action after it; what a stream posts is not.
///
///     {"batch": [["send", 1, "act", 0, 2], ["recv", 1, "grad", 1, 0]]}, {"action": "0B0"}
///     {"post": [["send", 1, "act", 0, 2]]}, {"action": "0B0"}
std::string to_program_json(const Program& program);

}  // namespace bubblescope

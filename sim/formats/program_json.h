// "bubblescope-program/1": a program as JSON. After the placement comes one line of steps a rank.
// A batch is waited for before the next step; what is posted is not.
//
//     {"action": "0F3"}
//     {"batch": [["send", 1, "act", 0, 2], ["recv", 1, "grad", 1, 0]]}
//     {"post": ["send", 1, "act", 0, 2]}
//     {"collective": ["unshard", 0]}
//
// A transfer is told by its peer and by what moves: the activation or gradient of a stage and
// micro-batch. "channels" is told where it is not the default of "comm".
#pragma once

#include <string>
#include <string_view>

#include "sim/program/posted_program.h"

namespace bubblescope {

std::string to_program_json(const PostedProgram& program);

/// The other way round, exactly. Where there is no "comm", it is told by the steps: a batch means
/// batched, and none of them ideal. Throws Error, with `file` and the JSON path, for what cannot be
/// understood or fits no placement; whether the program is sound is `find_fault`'s to say.
PostedProgram parse_program_json(std::string_view text, const std::string& file);

}  // namespace bubblescope

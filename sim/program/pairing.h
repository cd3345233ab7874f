#pragma once

#include "sim/program/program.h"

namespace bubblescope {

/// Makes a message of each send and its receive: fills `ends` and `messages` of a program that has
/// its streams. Messages are numbered by sender, receiver and turn, ideal ones by output. Throws
/// Error where a send or a receive has no other end.
void pair_transfers(Program& program);

}  // namespace bubblescope

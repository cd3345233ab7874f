#pragma once

#include "sim/program.h"

namespace bubblescope {

/// Throws Error, with rank, slot and message, unless every rank's order is sound (`check_orders`)
/// and, where messages are spelled out, each is sent once, after it is made, received once, before
/// it is needed, and the k-th send from one rank to another is of the message of the k-th receive.
void check_program(const Program& program);

}  // namespace bubblescope

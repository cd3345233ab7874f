// PyTorch's words for what a rank does: "0F3", "(0F7;7B3)OVERLAP_F_B", "1RECV_F0", "2UNSHARD".
#pragma once

#include <string>

#include <fmt/format.h>

#include "sim/schedule/placement.h"
#include "sim/schedule/transfers.h"

namespace bubblescope {

/// Append a word. The word of a receive names the stage that reads the message.
void append_word(fmt::memory_buffer& text, const Op& op);
void append_word(fmt::memory_buffer& text, const Action& action);
void append_word(fmt::memory_buffer& text, const Transfer& transfer, const Placement& placement);
void append_word(fmt::memory_buffer& text, const Collective& collective);

/// A word as a string; sim/schedule/op.h has those of an op and an action.
std::string to_string(const Transfer& transfer, const Placement& placement);
std::string to_string(const Collective& collective);

}  // namespace bubblescope

#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "sim/program/posted_program.h"

namespace bubblescope {

/// A fault of a posted program.
struct ProgramFault {
  enum class Kind : std::uint8_t {
    Order,    ///< What `find_order_fault` finds.
    Message,  ///< One is sent or received too early, twice, never, or where it is not due.
    Crossed,  ///< A receive would get another message than its own.
  };
  Kind kind;
  Rank rank;
  std::optional<std::size_t> step;  ///< Of the rank, from 0; none where one is missing.
  std::string what;
};

/// The first fault, rank by rank: each rank's order is sound, and where messages are spelled out,
/// each is sent once, after it is made, received once, before it is needed, and, since messages
/// carry no tags, the k-th send from one rank to another is of the message of the k-th receive.
/// Whether ranks wait for one another in a circle is `can_run`'s to find.
std::optional<ProgramFault> find_fault(const PostedProgram& program);

/// Throws Error where there is a fault, with rank, step and expectation.
void check_program(const PostedProgram& program);

}  // namespace bubblescope

// A schedule with its communication spelled out.
#pragma once

#include <span>
#include <string_view>

#include "sim/schedule.h"

namespace bubblescope {

/// How the ranks talk. Each way is a lowering of its own from Schedule to Program.
enum class Comm : std::uint8_t {
  /// A message costs latency + bytes / bandwidth and occupies neither rank nor link: the papers'
  /// model. It needs no step of its own: it is an edge of the graph.
  Ideal,
};

struct CommName {
  std::string_view name;
  Comm comm;
};
/// All ways to talk, by their names on the command line.
std::span<const CommName> comm_names();
std::string_view to_string(Comm comm);

/// The schedule's orders are sound: `lower` has checked them.
struct Program {
  Schedule schedule;
  Comm comm = Comm::Ideal;
};

/// Throws Error where `check_orders` does.
Program lower(Schedule schedule, Comm comm);

}  // namespace bubblescope

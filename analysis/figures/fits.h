// Whether a schedule can be run, and stays within a limit of memory.
#pragma once

#include <string>

#include "analysis/figures/report.h"
#include "sim/costs/memory_limit.h"

namespace bubblescope {

/// A schedule that cannot be run, and why.
struct Skipped {
  std::string schedule;
  std::string reason;
};

/// What `report` shows stays within the limit.
bool fits(const Report& report, const MemoryLimit& limit);

/// "74.5 GiB a GPU, the memory of h800", "8 live activations a rank"
std::string limit_words(const MemoryLimit& limit);

}  // namespace bubblescope

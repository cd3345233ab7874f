#pragma once

#include <string>

#include "analysis/report.h"
#include "sim/costs/memory_limit.h"

namespace bubblescope {

/// What `report` shows stays within the limit.
bool fits(const Report& report, const MemoryLimit& limit);

/// "74.5 GiB a rank, the memory of h800", "8 live activations a rank"
std::string limit_words(const MemoryLimit& limit);

}  // namespace bubblescope

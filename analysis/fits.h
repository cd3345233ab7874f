#pragma once

#include "analysis/report.h"
#include "sim/memory_limit.h"

namespace bubblescope {

/// What `report` shows stays within the limit.
bool fits(const Report& report, const MemoryLimit& limit);

}  // namespace bubblescope

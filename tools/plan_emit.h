// A plan as another framework takes it.
#pragma once

#include <string>

#include "tools/plan_rows.h"

namespace bubblescope {

/// The best of a plan as a launch of Megatron-LM, or as torchtitan's TOML, which `import` reads
/// back. `row` is one of PlanRows. Throws Error where the framework has no such schedule, or cannot
/// lay out layers so.
std::string emitted(const PlanQuestion& question, const Json& row, EmitFor framework);

}  // namespace bubblescope

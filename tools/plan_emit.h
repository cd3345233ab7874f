// A plan as another framework takes it.
#pragma once

#include <string>

#include "tools/plan_rows.h"

namespace bubblescope {

/// Throws Error where a framework takes no plan of such a question.
void check_emitted(const PlanQuestion& question, EmitFor framework);

/// A row of PlanRows as a launch of Megatron-LM, or as torchtitan's TOML, which `import` reads
/// back. Throws Error where the framework refuses it: it has no such schedule, or cannot lay out
/// layers so.
std::string emitted(const PlanQuestion& question, const Json& row, EmitFor framework);

}  // namespace bubblescope

#pragma once

#include "backend_cuda/replay/plan.h"

namespace bubblescope {

/// Lets actions wait until their inputs begin to be received, and no longer.
inline void receive_early(Plan& plan) {
  for (Instruction& instruction : plan.instructions)
    for (Wait& wait : instruction.wait)
      if (wait.instruction != Wait::kNothing && !plan.is_action(wait.instruction))
        wait.moment = Wait::For::Start;
}

}  // namespace bubblescope

// Actions that last as long as their costs say, and messages that carry tokens.
#pragma once

#include <memory>

#include "backend_cuda/cuda/work.h"

namespace bubblescope::gpu {

/// An action takes one block of one SM, so that any number of ranks run beside each other. It finds
/// the tokens of its inputs and leaves those of its outputs; a message copies one. So a step whose
/// order is wrong is found out: `check` names the action. Both have to outlive the work.
std::unique_ptr<Work> make_timed_work(const Plan& plan, const Layout& layout);

}  // namespace bubblescope::gpu

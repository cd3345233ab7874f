#pragma once

#include <vector>

#include "sim/program/posted_program.h"

namespace bubblescope {

struct TorchCommunication {
  Transfers transfers;
  std::vector<Collective> collectives;
};

/// The communication that PyTorch's pipeline runtime adds to a sound compute-only schedule
/// (torch/distributed/pipelining/schedules.py, _prepare_schedule_with_comms, as of 2.14).
///
/// Weights: before each action the next three stages that the rank will work on are unsharded and
/// all others are resharded; a stage's gradients are reduced after its last W or B. Messages: the
/// ranks take turns, each doing its next action if its inputs are there; when an output is made,
/// its sender posts the send, and its reader the receive, each at the end of what it has done so
/// far. PyTorch knows one pipe; two are lowered by the same rule.
///
/// Throws Error where ranks wait for one another in a circle.
TorchCommunication torch_communication(const Schedule& schedule);

}  // namespace bubblescope

// Measures a machine by micro-benchmarks that an executor runs as it runs any plan. None of them is
// a schedule that is predicted with them.
#pragma once

#include "backend_cuda/replay/calibration.h"

namespace bubblescope {

/// Leaves `backend`, `created` and `command` to be filled in. Throws DeviceError where the machine
/// fails.
///
/// Gaps and messages: one micro-batch alone goes through a chain of stages that lie on the ranks in
/// turn, forward and back, under each way to talk. Ops: the same chain tells what they take while
/// all other ranks rest, and waves of F, of I and of W, in which every rank has the next one ready,
/// what they take while all work. Between processes, links come first: the chain with messages of
/// several sizes, all-to-alls of several sizes among replicas, and how much longer a tensor's F
/// takes while messages hold SMs.
Profile calibrate(const ExecutorMaker& make_executor, const Calibration& calibration);

}  // namespace bubblescope

// How a loss goes over a line.
#pragma once

#include <cstddef>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/frame.h"

namespace bubblescope {

/// The most characters of a reason, before it is sent and after it is received.
constexpr std::size_t kLongestReason = 16'384;

FrameBytes loss_frame(const Loss& loss);
/// As another process tells it, in a job of `world`. Its words may be shown. Throws BadFrame where
/// it names no process of the job, or a code with which none fails.
Loss read_loss(Unpacker& payload, int world);

}  // namespace bubblescope

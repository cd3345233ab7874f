// Actions that compute: every stage is a stack of residual MLP blocks, and messages carry its
// activations and gradients.
#pragma once

#include <memory>

#include "backend_cuda/cuda/work.h"

namespace bubblescope::gpu {

/// Per micro-batch everything is the same to the last bit as in a run without a pipeline, whose
/// kernels and algorithms are the same; only gradients are summed in another order. A step begins
/// with NaN wherever an output will lie, so that what is read too soon spoils the result. Plan and
/// layout have to outlive the work. Throws DeviceError where cublasLt is missing or the shape does
/// not suit it.
std::unique_ptr<Work> make_tensor_work(const Plan& plan, const TensorShape& shape,
                                       const Layout& layout);

}  // namespace bubblescope::gpu

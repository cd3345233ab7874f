// What a stage of a model holds in a GPU's memory.
#pragma once

#include "sim/base/types.h"
#include "sim/transformer/layer_costs.h"
#include "sim/transformer/stage_layout.h"

namespace bubblescope {

struct StageMemory {
  Bytes parameters = 0;  ///< In bf16.
  Bytes gradients = 0;
  Bytes optimizer = 0;   ///< Adam: fp32 parameters and two moments.
  Bytes buffers = 0;     ///< An activation and a gradient that arrive; of one layer, the largest,
                         ///< what ZeRO divides and what recomputation makes again.
  Bytes activation = 0;  ///< Of one micro-batch, from its F on.
  Bytes activation_after_input_grad = 0;  ///< What its W needs, once I has run: more than F kept
                                          ///< where I makes it again, or gathers it.

  Bytes weights() const { return parameters + gradients + optimizer + buffers; }
};

/// What one stage of `layout` holds. Kept of a layer are (Korthikanti et al., arXiv 2205.05198,
/// section 4): the inputs of norms, matrix products, attention and activation functions,
/// attention's scores where it is not fused, and dropout's masks where there is dropout; for GPT
/// that is s·b·h·(34 + 5·a·s/h) bytes. W needs the inputs of matrix products and the gradients of
/// their outputs, 32·s·b·h for GPT (Zero Bubble, arXiv 2401.10241, table 1). Experts keep the
/// tokens that they got; inputs of matrix products are kept as they are quantized. Throws Error for
/// more than 10¹⁸ bytes.
StageMemory stage_memory(const LayerSetting& setting, const StageLayout& layout, std::size_t stage);

/// Of one layer.
struct LayerActivation {
  double kept = 0;         ///< Bytes from F on.
  double for_weights = 0;  ///< Bytes that W needs.
};
LayerActivation layer_activation(const LayerSetting& setting, const LayerKind& kind);

/// A process holds this of a GPU whose tensors are so large at most: its context, NCCL's and
/// cuBLAS's buffers, and what the allocator cannot give back. Both numbers are fitted to runs that
/// ran out of memory or did not (docs/accuracy.md).
Bytes device_memory(Bytes tensors);
/// The largest tensors with which a process holds no more than so much; negative where nothing is
/// left.
Bytes tensor_memory(Bytes device);

/// What a stage sends to the next: a micro-batch's hidden state in bf16.
Bytes message_bytes(const LayerSetting& setting);

}  // namespace bubblescope

// Mixers of a layer, attention of each kind and recurrences: their work, messages and memory.
#pragma once

#include <string>
#include <vector>

#include "sim/transformer/attention_times.h"
#include "sim/transformer/kernels.h"

namespace bubblescope {

/// The matrices of a mixer on one GPU.
Linears mixer_linears(const LayerSetting& setting, const Mixer& mixer);

/// From the norm's output to the mixer's.
void mixer_forward(Kernels& kernels, const Mixer& mixer);
/// Recomputation of modules makes this again; that of a whole layer runs its forward instead.
void make_mixer_again(Kernels& kernels, const Mixer& mixer);
void mixer_input_gradient(Kernels& kernels, const Mixer& mixer);
void mixer_weight_gradient(Kernels& kernels, const Mixer& mixer);

/// Messages of context parallelism, as far as they take longer than what runs beside. Attention
/// passes keys and values on around the context group, their gradients too in the backward (Liu et
/// al., Ring Attention, arXiv 2310.01889); or gathers them, or divides heads over the group instead
/// of tokens (Jacobs et al., DeepSpeed Ulysses, arXiv 2309.14509), with nothing beside. A
/// recurrence divides its heads over the group instead and sends its input and output to all of it,
/// with nothing beside.
PhaseCost context_messages(const LayerSetting& setting, const LayerKind& kind, bool is_backward);

/// The words of the model's mixers for whose kernels no speeds were measured: recurrences, and
/// attention with an indexer.
std::vector<std::string> estimated_mixers(const Model& model);

/// Bytes that a mixer keeps from F on, beside the norm's input and output.
double mixer_kept(const LayerSetting& setting, const Mixer& mixer);

}  // namespace bubblescope

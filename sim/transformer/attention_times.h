// Pairs of tokens that attention computes, and its times from tables of kernels.
#pragma once

#include <optional>

#include "sim/transformer/layer_setting.h"

namespace bubblescope {

/// The mean number of tokens to which one attends, of a sequence of so many.
double mean_keys(const Attention& attention, double sequence);

/// Seconds of a GPU's fused attention as tables have causal attention, which windows shorten; none
/// where they have none for it.
std::optional<double> timed_attention(const LayerSetting& setting, const Attention& attention,
                                      bool is_backward);

}  // namespace bubblescope

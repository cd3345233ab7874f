#include "sim/transformer/attention_times.h"

#include <algorithm>
#include <cmath>

#include "sim/transformer/analytic_units.h"

namespace bubblescope {

double mean_keys(const Attention& attention, double sequence) {
  const double kept = attention.indexer ? real(attention.indexer->kept) : sequence;
  const double window = attention.window > 0 ? real(attention.window) : sequence;
  const double chunk = attention.chunk > 0 ? real(attention.chunk) : sequence;
  const double most = std::min({kept, window, chunk, sequence});
  if (most < chunk)
    return most - most * most / (2 * sequence);
  const double rest = std::fmod(sequence, chunk);  // of the last one, which is not whole
  return ((sequence - rest) * chunk + rest * rest) / (2 * sequence);
}

std::optional<double> timed_attention(const LayerSetting& setting, const Attention& attention,
                                      bool is_backward) {
  constexpr double kContextFactor = 1.3;  // fitted: a sequence in parts
  const Hardware& hardware = setting.hardware;
  const KernelTables* tables = hardware.kernels.get();
  const bool is_latent = attention.latent.has_value();
  if (tables == nullptr || !(is_latent ? tables->latent_attention : tables->attention) ||
      attention.indexer)
    return std::nullopt;
  const Parallel& parallel = setting.parallel;
  // An all-to-all gives a GPU fewer heads of whole sequences; else it has all heads of parts.
  const bool has_parts =
      parallel.context > 1 && setting.training.context != ContextMessages::AllToAll;
  const double parts = has_parts ? real(parallel.context) : 1;
  const double sequence = real(setting.training.sequence);
  const double heads = real(attention.heads) / real(parallel.tensor) /
                       (has_parts ? 1 : real(parallel.context)) * real(setting.training.microbatch);
  const double group = real(attention.heads) / real(attention.key_value_heads);
  const auto& own = is_latent ? tables->latent_attention_backward : tables->attention_backward;
  const auto& forward = is_latent ? tables->latent_attention : tables->attention;
  const bool is_timed = is_backward && own;
  const KernelGrid& grid = is_timed ? *own : *forward;
  const double whole =
      grid.seconds(is_latent ? KernelGrid::Point{heads, sequence}
                             : KernelGrid::Point{real(attention.key_dim), group, heads, sequence});
  const double seen = mean_keys(attention, sequence) / (sequence / 2);
  return whole * seen / parts * (has_parts ? kContextFactor : 1) *
         (is_backward && !is_timed ? hardware.sustained.attention_backward : 1);
}

}  // namespace bubblescope

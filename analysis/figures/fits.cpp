#include "analysis/figures/fits.h"

#include <fmt/format.h>

#include "analysis/figures/format.h"

namespace bubblescope {

bool fits(const Report& report, const MemoryLimit& limit) {
  if (limit.live_activations && report.peak_live_activations > *limit.live_activations)
    return false;
  const std::optional<Bytes> held = report.held_memory();
  return !limit.bytes || (held && *held <= *limit.bytes);
}

std::string limit_words(const MemoryLimit& limit) {
  const std::string of = limit.owner.empty() ? "" : ", the memory of " + limit.owner;
  if (limit.bytes)
    return fmt::format("{} a GPU{}", format_bytes(*limit.bytes), of);
  return fmt::format("{} live activation{} a rank", *limit.live_activations,
                     *limit.live_activations == 1 ? "" : "s");
}

}  // namespace bubblescope

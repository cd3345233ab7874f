#include "sim/engine/noise.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace bubblescope {
namespace {

/// Draws that are the same on every machine: std's distributions differ from one library to the
/// next, so these are made of the generator's bits by exact sums.
class Draws {
 public:
  explicit Draws(std::seed_seq& seed) : bits_(seed) {}

  /// From 0 up to 1.
  double uniform() { return static_cast<double>(bits_() >> 11U) * 0x1p-53; }

  /// Nearly normal, mean 0 and standard deviation 1, within ±6: the sum of twelve uniform draws of
  /// 16 bits each.
  double normal() {
    std::uint64_t sum = 0;
    for (int i = 0; i < 3; ++i)
      for (std::uint64_t four = bits_(); four != 0; four >>= 16U)
        sum += four & 0xFFFFU;
    return static_cast<double>(sum) * 0x1p-16 - 6 + 6 * 0x1p-16;
  }

  /// Around 1, and not below 0.
  double factor(double deviation) { return std::max(0.0, 1 + deviation * normal()); }

 private:
  std::mt19937_64 bits_;
};

}  // namespace

void draw_durations(const DependencyGraph& graph, std::span<const Time> calm, const Noise& noise,
                    std::uint64_t seed, std::uint64_t sample, std::span<Time> noisy) {
  std::seed_seq words{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U),
                      static_cast<std::uint32_t>(sample),
                      static_cast<std::uint32_t>(sample >> 32U)};
  Draws draws(words);
  std::vector<double> of_rank(static_cast<std::size_t>(graph.schedule().placement.ranks), 1.0);
  for (const Straggler& straggler : noise.stragglers)
    of_rank[static_cast<std::size_t>(straggler.rank)] = straggler.factor;
  if (noise.rank_jitter > 0)
    for (double& factor : of_rank)
      factor *= draws.factor(noise.rank_jitter);
  for (NodeId node = 0; node < graph.size(); ++node) {
    noisy[node] = calm[node];
    if (graph.is_message(node))
      continue;
    double factor = of_rank[static_cast<std::size_t>(graph.rank()[node])];
    if (noise.jitter > 0)
      factor *= draws.factor(noise.jitter);
    if (!noise.measured.empty())
      factor *= noise.measured[static_cast<std::size_t>(
          draws.uniform() * static_cast<double>(noise.measured.size()))];
    if (noise.hiccup_share > 0 && draws.uniform() < noise.hiccup_share)
      factor *= noise.hiccup_factor;
    noisy[node] = Time(std::llround(static_cast<double>(calm[node].count()) * factor));
  }
}

}  // namespace bubblescope

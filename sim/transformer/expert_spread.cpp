#include "sim/transformer/expert_spread.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "sim/transformer/analytic_units.h"

namespace bubblescope {
namespace {

/// What a place holds of the groups: so many whole ones, and experts of the two at its ends.
struct Share {
  std::int64_t whole = 0;
  std::int64_t head = 0;
  std::int64_t tail = 0;

  friend bool operator<(const Share& a, const Share& b) {
    return std::tie(a.whole, a.head, a.tail) < std::tie(b.whole, b.head, b.tail);
  }
};

/// Of experts `begin` to `end`, in groups of `size`.
Share share_of(std::int64_t begin, std::int64_t end, std::int64_t size) {
  const std::int64_t first = (begin + size - 1) / size;
  const std::int64_t last = end / size;
  if (first > last)  // within one group
    return {.head = end - begin};
  return {.whole = last - first, .head = first * size - begin, .tail = end - last * size};
}

/// A token's chances to miss a place: it draws from some of the groups.
class Routing {
 public:
  explicit Routing(const Experts& experts)
      : groups_(experts.groups),
        chosen_(experts.groups_per_token),
        size_(experts.count / experts.groups),
        drawn_(std::min(experts.per_token, chosen_ * size_)) {}

  double misses(const Share& share) const {
    std::vector<double> chance = {1};  // [how many of the whole groups so far are chosen]
    for (std::int64_t seen = 0; seen < share.whole; ++seen) {
      std::vector<double> next(chance.size() + 1, 0);
      for (std::size_t taken = 0; taken < chance.size(); ++taken) {
        const double one = chosen_next(seen, static_cast<std::int64_t>(taken));
        next[taken] += chance[taken] * (1 - one);
        next[taken + 1] += chance[taken] * one;
      }
      chance = std::move(next);
    }
    double sum = 0;
    for (std::size_t taken = 0; taken < chance.size(); ++taken)
      if (chance[taken] > 0) {
        const auto groups = static_cast<std::int64_t>(taken);
        sum += chance[taken] *
               with_parts({share.head, share.tail}, {share.whole, groups, groups * size_});
      }
    return sum;
  }

 private:
  /// Groups looked at, those of them that are chosen, and the place's experts in these.
  struct Seen {
    std::int64_t groups;
    std::int64_t chosen;
    std::int64_t held;
  };

  /// The chance that the next group is among the chosen.
  double chosen_next(std::int64_t seen, std::int64_t taken) const {
    return seen < groups_ ? real(chosen_ - taken) / real(groups_ - seen) : 0;
  }

  double with_parts(std::pair<std::int64_t, std::int64_t> parts, const Seen& seen) const {
    if (parts == std::pair<std::int64_t, std::int64_t>())
      return drawn_elsewhere(seen.held);
    const std::int64_t part =
        parts.first > 0 ? std::exchange(parts.first, 0) : std::exchange(parts.second, 0);
    const double one = chosen_next(seen.groups, seen.chosen);
    double sum = 0;
    if (one < 1)
      sum += (1 - one) * with_parts(parts, {seen.groups + 1, seen.chosen, seen.held});
    if (one > 0)
      sum += one * with_parts(parts, {seen.groups + 1, seen.chosen + 1, seen.held + part});
    return sum;
  }

  /// C(open − held, drawn) / C(open, drawn)
  double drawn_elsewhere(std::int64_t held) const {
    const std::int64_t open = chosen_ * size_;
    double chance = 1;
    for (std::int64_t i = 0; i < drawn_ && chance > 0; ++i)
      chance *= std::max(0.0, real(open - held - i) / real(open - i));
    return chance;
  }

  std::int64_t groups_;
  std::int64_t chosen_;
  std::int64_t size_;
  std::int64_t drawn_;
};

/// The expected number of places that a token's experts are on; `step` GPUs are one place.
double expected_places(const Experts& experts, std::int64_t gpus, std::int64_t step) {
  const Routing routing(experts);
  const std::int64_t each = experts.count / gpus;
  std::map<Share, double> places;  // most are alike
  for (std::int64_t gpu = 0; gpu < gpus; gpu += step)
    ++places[share_of(gpu * each, std::min(gpus, gpu + step) * each,
                      experts.count / experts.groups)];
  double sum = 0;
  for (const auto& [share, count] : places)
    sum += count * (1 - routing.misses(share));
  return sum;
}

}  // namespace

ExpertSpread expert_spread(const Experts& experts, const ExpertPlaces& places) {
  const std::int64_t nodes = (places.gpus + places.gpus_per_node - 1) / places.gpus_per_node;
  return {.nodes = real(nodes),
          .node_copies = expected_places(experts, places.gpus, places.gpus_per_node),
          .gpu_copies = expected_places(experts, places.gpus, 1)};
}

}  // namespace bubblescope

// Over how many places a token's experts are spread, against every choice of groups.
#include "sim/transformer/expert_spread.h"

#include <bit>
#include <random>

#include <doctest/doctest.h>

namespace bubblescope {
namespace {

double choose(std::int64_t n, std::int64_t k) {
  double ways = n < k ? 0 : 1;
  for (std::int64_t i = 0; i < k && ways > 0; ++i)
    ways *= static_cast<double>(n - i) / static_cast<double>(i + 1);
  return ways;
}

/// Counts places of `step` GPUs over all choices of groups, expert by expert.
double enumerated(const Experts& experts, std::int64_t gpus, std::int64_t step) {
  const std::int64_t size = experts.count / experts.groups;
  const std::int64_t open = size * experts.groups_per_token;
  double sum = 0;
  int choices = 0;
  for (unsigned chosen = 0; chosen < 1U << experts.groups; ++chosen) {
    if (std::popcount(chosen) != experts.groups_per_token)
      continue;
    ++choices;
    for (std::int64_t first = 0; first < gpus; first += step) {
      std::int64_t held = 0;
      for (std::int64_t expert = 0; expert < experts.count; ++expert) {
        const std::int64_t gpu = expert * gpus / experts.count;
        const bool is_here = gpu >= first && gpu < first + step;
        held += is_here && (chosen >> (expert / size) & 1U) != 0 ? 1 : 0;
      }
      sum += 1 - choose(open - held, experts.per_token) / choose(open, experts.per_token);
    }
  }
  return sum / choices;
}

}  // namespace

TEST_CASE("Node-limited routing limits groups, wherever nodes end") {
  const Experts deepseek{.count = 256, .per_token = 8, .groups = 8, .groups_per_token = 4};
  for (const std::int64_t gpus : {8, 16, 32, 64, 128, 256}) {
    CAPTURE(gpus);
    const ExpertSpread spread = expert_spread(deepseek, {gpus, 8});
    CHECK(spread.nodes == static_cast<double>(gpus) / 8);
    CHECK(spread.node_copies == doctest::Approx(enumerated(deepseek, gpus, 8)));
    CHECK(spread.gpu_copies == doctest::Approx(enumerated(deepseek, gpus, 1)));
  }
  // 70 choices: one leaves the second of two nodes out, one the first.
  const double both = 2 - 2.0 / 70;
  CHECK(expert_spread(deepseek, {16, 8}).node_copies < both);
  CHECK(expert_spread(deepseek, {16, 8}).node_copies > 1.9);
  CHECK(expert_spread(deepseek, {8, 8}).gpu_copies < 4);  // a GPU is a group
}

TEST_CASE("Groups that nodes and GPUs cut are counted where they are") {
  std::mt19937 random(20261124);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  for (int i = 0; i < 200; ++i) {
    Experts experts{.groups = draw(1, 6)};
    experts.groups_per_token = draw(1, static_cast<int>(experts.groups));
    experts.count = experts.groups * draw(1, 8);
    experts.per_token =
        draw(1, static_cast<int>(experts.count / experts.groups * experts.groups_per_token));
    std::int64_t gpus = draw(1, static_cast<int>(experts.count));
    while (experts.count % gpus != 0)
      --gpus;
    const std::int64_t per_node = draw(1, 5);
    CAPTURE(experts.count);
    CAPTURE(experts.groups);
    CAPTURE(gpus);
    CAPTURE(per_node);
    const ExpertSpread spread = expert_spread(experts, {gpus, per_node});
    CHECK(spread.node_copies == doctest::Approx(enumerated(experts, gpus, per_node)));
    CHECK(spread.gpu_copies == doctest::Approx(enumerated(experts, gpus, 1)));
  }
}

}  // namespace bubblescope

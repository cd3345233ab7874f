#include "analysis/explain/validity_region.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "analysis/explain/cone.h"

namespace bubblescope {
namespace {

/// Simulations that a region may cost.
constexpr int kMostTrials = 400;
/// Costs of a ray: their sums over a path must fit into 64 bits.
constexpr std::int64_t kMostCost = std::int64_t{1} << 30;

/// Its coordinates along the kinds of a space, divided by what they have in common.
Cone::Vector normal_of(const CostSpace& space, const LinearForm& form) {
  Cone::Vector normal;
  std::int64_t divisor = 0;
  for (const CostKind kind : space.kinds()) {
    normal.push_back(form[index(kind)]);
    divisor = std::gcd(divisor, normal.back());
  }
  for (std::int64_t& coordinate : normal)
    coordinate /= std::max<std::int64_t>(divisor, 1);
  return normal;
}

PerCost<std::int64_t> along(const CostSpace& space, const Cone::Vector& ray) {
  PerCost<std::int64_t> costs{};
  for (std::size_t i = 0; i < ray.size(); ++i)
    costs[index(space.kinds()[i])] = ray[i];
  return costs;
}

std::vector<LinearForm> natural_bounds(const CostSpace& space) {
  const auto has = [&](CostKind kind) {
    return std::find(space.kinds().begin(), space.kinds().end(), kind) != space.kinds().end();
  };
  std::vector<LinearForm> bounds;
  if (!has(CostKind::Pair))
    return bounds;
  LinearForm pair{};
  pair[index(CostKind::Pair)] = 1;
  LinearForm forward{};
  forward[index(CostKind::Forward)] = 1;
  LinearForm backward{};
  backward[kB] = 1;
  bounds = {pair - forward,
            pair - (space.splits_backward() ? with_split_backward(backward) : backward)};
  for (const LinearForm& bound : bounds)
    if (dot(bound, space.costs()) < 0)
      return {};
  return bounds;
}

/// The cone that `normals` bound, without the one that is left out; none where it gets too large.
std::optional<Cone> cone_of(std::size_t dimensions, const std::vector<Cone::Vector>& normals,
                            std::size_t left_out) {
  Cone cone(dimensions);
  for (std::size_t i = 0; i < normals.size(); ++i)
    if (i != left_out && !cone.add(normals[i]))
      return std::nullopt;
  return cone;
}

bool is_needed(std::size_t dimensions, const std::vector<Cone::Vector>& normals, std::size_t i) {
  const auto others = cone_of(dimensions, normals, i);
  return !others || std::any_of(others->rays().begin(), others->rays().end(), [&](const auto& ray) {
    return std::inner_product(ray.begin(), ray.end(), normals[i].begin(), std::int64_t{0}) < 0;
  });
}

}  // namespace

bool goes_with_its_parts(const PerCost<bool>& occurs, const PerCost<std::int64_t>& costs) {
  return occurs[kB] && (occurs[kI] || occurs[kW]) && costs[kB] == costs[kI] + costs[kW];
}

CostSpace::CostSpace(const StepFunction& step, const PerCost<bool>& occurs,
                     const PerCost<std::int64_t>& costs, bool splits_backward)
    : step_(step), costs_(costs), splits_backward_(splits_backward) {
  for (std::size_t kind = 0; kind < kCostKinds; ++kind) {
    const bool is_part = splits_backward_ && (kind == kI || kind == kW);
    const bool is_sum = splits_backward_ && kind == kB;
    const bool is_free_hop = kind == index(CostKind::Hop) && costs[kind] == 0;
    if (is_part || (occurs[kind] && !is_sum && !is_free_hop))
      kinds_.push_back(static_cast<CostKind>(kind));
  }
}

StepFunction::Longest CostSpace::at(PerCost<std::int64_t> costs) const {
  if (!splits_backward_)
    return step_.at(costs);
  costs[kB] = costs[kI] + costs[kW];
  StepFunction::Longest longest = step_.at(costs);
  longest.form = with_split_backward(longest.form);
  return longest;
}

ValidityRegion validity_region(const CostSpace& space, const LinearForm& form) {
  const std::size_t dimensions = space.kinds().size();
  Cone cone(dimensions);
  std::vector<Cone::Vector> normals;
  std::set<Cone::Vector> known;  // rays on which no path is longer
  ValidityRegion region{.faces = {}, .assumed = natural_bounds(space)};
  for (const LinearForm& bound : region.assumed) {
    normals.push_back(normal_of(space, bound));
    region.is_exact = cone.add(normals.back()) && region.is_exact;
  }
  int trials = 0;
  for (bool has_grown = true; has_grown && region.is_exact;) {
    has_grown = false;
    const std::vector<Cone::Vector> rays = cone.rays();
    for (const Cone::Vector& ray : rays) {
      if (known.contains(ray))
        continue;
      region.is_exact =
          ++trials <= kMostTrials && *std::max_element(ray.begin(), ray.end()) <= kMostCost;
      if (!region.is_exact)
        break;
      const PerCost<std::int64_t> costs = along(space, ray);
      const StepFunction::Longest longest = space.at(costs);
      if (longest.time == dot(form, costs)) {
        known.insert(ray);
        continue;
      }
      normals.push_back(normal_of(space, form - longest.form));
      region.is_exact = cone.add(normals.back());
      has_grown = true;
      break;
    }
  }
  for (std::size_t i = region.assumed.size(); i < normals.size(); ++i)
    if (is_needed(dimensions, normals, i))
      region.faces.push_back(along(space, normals[i]));
  return region;
}

CostRange range_of(const CostSpace& space, const LinearForm& form, CostKind kind,
                   std::int64_t limit) {
  PerCost<std::int64_t> costs = space.costs();
  std::int64_t& moved = costs[index(kind)];
  const std::int64_t here = moved;
  // From beyond towards `here`: the path that is longer there meets the form at a nearer point.
  const auto nearest = [&](std::int64_t from) {
    for (moved = from; moved != here;) {
      const StepFunction::Longest longest = space.at(costs);
      const std::int64_t excess = longest.time - dot(form, costs);
      if (excess == 0)
        return moved;
      const std::int64_t steeper = std::abs(longest.form[index(kind)] - form[index(kind)]);
      const std::int64_t back = (excess + steeper - 1) / steeper;
      moved += moved > here ? -back : back;
    }
    return here;
  };
  const std::int64_t most = nearest(limit);
  return {.least = nearest(0), .most = most, .is_open = most == limit};
}

std::string region_words(const ValidityRegion& region) {
  std::string words = region.faces.empty() ? "at all costs" : "where ";
  for (std::size_t i = 0; i < region.faces.size(); ++i)
    words += (i == 0                         ? ""
              : i + 1 == region.faces.size() ? " and "
                                             : ", ") +
             inequality_text(region.faces[i]);
  if (!region.is_exact)
    return "near these costs; not further than " + words +
           ", and there are more bounds than were looked for";
  if (!region.assumed.empty())
    words += ", a pair lasting no less than its F and its B";
  return words;
}

}  // namespace bubblescope

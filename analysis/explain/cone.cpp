#include "analysis/explain/cone.h"

#include <numeric>
#include <optional>
#include <utility>

namespace bubblescope {
namespace {

using Vector = Cone::Vector;

constexpr std::size_t kMostRays = 2000;

/// None where it cannot be told in 64 bits.
std::optional<std::int64_t> checked_dot(const Vector& a, const Vector& b) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::int64_t product = 0;
    if (__builtin_mul_overflow(a[i], b[i], &product) || __builtin_add_overflow(sum, product, &sum))
      return std::nullopt;
  }
  return sum;
}

/// The point between two rays on either side of a plane that lies on it; `above` and `below` are
/// their products with its normal.
std::optional<Vector> meet(const Vector& a, std::int64_t above, const Vector& b,
                           std::int64_t below) {
  Vector point(a.size());
  std::int64_t divisor = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::int64_t of_a = 0;
    std::int64_t of_b = 0;
    if (__builtin_mul_overflow(a[i], -below, &of_a) || __builtin_mul_overflow(b[i], above, &of_b) ||
        __builtin_add_overflow(of_a, of_b, &point[i]))
      return std::nullopt;
    divisor = std::gcd(divisor, point[i]);
  }
  for (std::int64_t& coordinate : point)
    coordinate /= divisor;
  return point;
}

}  // namespace

Cone::Cone(std::size_t dimensions) {
  for (std::size_t axis = 0; axis < dimensions; ++axis) {
    Vector unit(dimensions);
    unit[axis] = 1;
    normals_.push_back(unit);
    rays_.push_back(unit);
    tight_.emplace_back(dimensions, true);
    tight_.back()[axis] = false;
  }
}

/// Whether no third ray lies on all the planes that both lie on.
bool Cone::are_adjacent(std::size_t a, std::size_t b) const {
  for (std::size_t other = 0; other < rays_.size(); ++other) {
    if (other == a || other == b)
      continue;
    bool has_all = true;
    for (std::size_t i = 0; i < normals_.size() && has_all; ++i)
      has_all = tight_[other][i] || !tight_[a][i] || !tight_[b][i];
    if (has_all)
      return false;
  }
  return true;
}

bool Cone::add(const Vector& normal) {
  Vector products;
  for (const Vector& ray : rays_) {
    const auto product = checked_dot(normal, ray);
    if (!product)
      return false;
    products.push_back(*product);
  }
  std::vector<Vector> rays;
  std::vector<std::vector<bool>> tight;
  for (std::size_t ray = 0; ray < rays_.size(); ++ray)
    if (products[ray] >= 0) {
      rays.push_back(rays_[ray]);
      tight.push_back(tight_[ray]);
      tight.back().push_back(products[ray] == 0);
    }
  for (std::size_t a = 0; a < rays_.size(); ++a)
    for (std::size_t b = 0; b < rays_.size(); ++b) {
      if (products[a] <= 0 || products[b] >= 0 || !are_adjacent(a, b))
        continue;
      auto point = meet(rays_[a], products[a], rays_[b], products[b]);
      if (!point || rays.size() == kMostRays)
        return false;
      rays.push_back(std::move(*point));
      tight.push_back(tight_[a]);
      for (std::size_t i = 0; i < normals_.size(); ++i)
        tight.back()[i] = tight_[a][i] && tight_[b][i];
      tight.back().push_back(true);
    }
  rays_ = std::move(rays);
  tight_ = std::move(tight);
  normals_.push_back(normal);
  return true;
}

}  // namespace bubblescope

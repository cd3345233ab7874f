// A cone of non-negative vectors that satisfy some homogeneous inequalities, by its extreme rays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bubblescope {

/// Grown one inequality at a time by the double description method (Motzkin et al. 1953; Fukuda and
/// Prodon 1996, "Double description method revisited").
class Cone {
 public:
  using Vector = std::vector<std::int64_t>;

  /// All vectors of so many dimensions, none negative.
  explicit Cone(std::size_t dimensions);

  /// Cuts off where normal · x < 0. False, and the cone is of no more use, where its rays get too
  /// many or their numbers too large.
  [[nodiscard]] bool add(const Vector& normal);

  /// Each as small as whole numbers can be.
  const std::vector<Vector>& rays() const { return rays_; }

 private:
  bool are_adjacent(std::size_t a, std::size_t b) const;

  std::vector<Vector> normals_;  // those of the axes first
  std::vector<Vector> rays_;
  std::vector<std::vector<bool>> tight_;  // [ray][normal] whether normal · ray = 0
};

}  // namespace bubblescope

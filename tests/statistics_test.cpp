// Percentiles by rank, and lines by least squares, against values by hand.
#include "sim/base/statistics.h"

#include <vector>

#include <doctest/doctest.h>

namespace bubblescope {

TEST_CASE("A percentile is the smallest value that so many do not pass") {
  const std::vector<int> sorted = {10, 20, 30, 40};
  CHECK(percentile(sorted, 0) == 10);
  CHECK(percentile(sorted, 0.25) == 10);
  CHECK(percentile(sorted, 0.26) == 20);
  CHECK(percentile(sorted, 0.5) == 20);
  CHECK(percentile(sorted, 0.95) == 40);
  CHECK(percentile(sorted, 1) == 40);
  CHECK(percentile(std::vector{7}, 0.5) == 7);
}

TEST_CASE("Of an even number of values the median is the lower of two") {
  CHECK(lower_median(std::vector{3, 1, 2}) == 2);
  CHECK(lower_median(std::vector{4, 1, 3, 2}) == 2);
  CHECK(lower_median(std::vector{9}) == 9);
}

TEST_CASE("A line goes through points that lie on it, whatever their weights") {
  const FittedLine line = fit_line({{1, 5, 1}, {2, 7, 10}, {4, 11, 0.1}});
  CHECK(line.slope == doctest::Approx(2));
  CHECK(line.at(0) == doctest::Approx(3));
  CHECK(line.at(line.mean_x) == line.mean_y);
}

TEST_CASE("A line passes points by the least squares of their weights") {
  // (0, 0), (1, 1), (2, 0): level at 1/3. With the middle counted twice: at 1/2.
  const FittedLine even = fit_line({{0, 0}, {1, 1}, {2, 0}});
  CHECK(even.slope == doctest::Approx(0));
  CHECK(even.at(5) == doctest::Approx(1.0 / 3));
  CHECK(fit_line({{0, 0}, {1, 1, 2}, {2, 0}}).at(5) == doctest::Approx(0.5));
  // (0, 0), (1, 0), (2, 3): slope 3/2, through the mean (1, 1).
  CHECK(fit_line({{0, 0}, {1, 0}, {2, 3}}).at(0) == doctest::Approx(-0.5));
}

TEST_CASE("A line through one point, or points of one x, is level") {
  CHECK(fit_line({{3, 4}}).at(100) == 4);
  CHECK(fit_line({{3, 4}, {3, 6}}).at(100) == 5);
  CHECK(fit_line({{0.1, 1}, {0.1, 2}, {0.1, 4}}).slope == 0);
}

}  // namespace bubblescope

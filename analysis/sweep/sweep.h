// Schedules at many values of one or two costs: which wins where, and at which values another one
// takes over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/figures/fits.h"

namespace bubblescope {

/// What the whole numbers of an axis count.
enum class AxisKind : std::uint8_t {
  Duration,  ///< Nanoseconds.
  Size,      ///< Bytes.
  Rate,      ///< Bytes a second.
  Count,
};

/// A cost that is varied.
struct SweepAxis {
  std::string name;  ///< "p2p"
  AxisKind kind = AxisKind::Duration;
  std::vector<std::int64_t> values = {};  ///< Ascending, two at least.
  bool is_logarithmic = false;
};

inline double as_double(Time time) {
  return static_cast<double>(time.count());
}
inline double as_double(std::int64_t value) {
  return static_cast<double>(value);
}

/// "123.4 µs", "2 MiB", "50 GB/s", "32"
std::string format_value(std::int64_t value, AxisKind kind);
/// "p2p_ns": the axis in JSON and CSV.
std::string axis_key(const SweepAxis& axis);

/// One schedule at one point.
struct SweepRun {
  std::optional<Time> time = {};  ///< `Report::whole_time`; none where it cannot run.
  bool fits = true;               ///< Into the memory limit.
  double peak_activation_share = 0;
  int weight_copies = 0;
};

using SweepRuns = std::vector<SweepRun>;  ///< [schedule]

/// Times of which one is longer by less than this part are as long: whole nanoseconds may be
/// rounded differently where a schedule has more stages.
constexpr double kTie = 1e-6;

/// The schedule that takes least, of those that run and fit; of those that tie the one with the
/// smaller peak, then fewer copies, then the first. None where none fits.
std::optional<std::size_t> winner(const SweepRuns& runs);
/// The one that would win if `best` were not there.
std::optional<std::size_t> runner_up(const SweepRuns& runs, std::size_t best);

/// Where one schedule wins.
struct SweepRegion {
  std::optional<std::size_t> best;  ///< None: nothing fits.
  std::int64_t from = 0;            ///< Its least value of the first axis, and
  std::int64_t to = 0;              ///< its largest. The next region begins one step behind.
};

struct Sweep {
  std::string setting = {};          ///< "8 ranks, 32 micro-batches, ideal communication"
  std::vector<SweepAxis> axes = {};  ///< One or two.
  std::vector<std::string> schedules = {};
  std::vector<SweepRuns> points = {};                  ///< [y · values of the first axis + x]
  std::vector<std::vector<SweepRegion>> regions = {};  ///< [y] in order, along the first axis
  std::vector<Skipped> skipped = {};
  bool is_iteration = false;  ///< The times are those of whole iterations.
  bool is_exact = false;      ///< No region is missed, however narrow: times are convex.

  std::size_t columns() const { return axes[0].values.size(); }
  std::size_t rows() const { return axes.size() == 2 ? axes[1].values.size() : 1; }
  const SweepRuns& point(std::size_t x, std::size_t y) const { return points[y * columns() + x]; }
};

/// What runs a sweep needs: all schedules at a value of the first axis and one of the second, 0
/// where there is none.
using RunAt = std::function<SweepRuns(std::int64_t x, std::int64_t y)>;

/// Fills points and regions. The winner's change between two neighbouring values is found by
/// bisection, to one step or a millionth of the value. Along a cost in which all times are convex
/// (`is_exact`) the chord of the winner above and the secants of the others below tell where
/// another one could win between two points that it does not win, and it is run there: no region is
/// missed. A count is not searched between its values.
void run_sweep(Sweep& sweep, const RunAt& run);

}  // namespace bubblescope

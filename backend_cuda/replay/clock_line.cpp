#include "backend_cuda/replay/clock_line.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "sim/base/statistics.h"

namespace bubblescope {
namespace {

/// Crystals, and clocks that are being set right, drift no faster: a steeper line comes from
/// readings that lie too close to each other.
constexpr double kMostDrift = 1e-3;

Time moment_of(const ClockReading& reading) {
  return reading.at.time_since_epoch();
}

/// A reading says as much as its error is small.
double weight_of(const ClockReading& reading) {
  const auto error = static_cast<double>(std::max(reading.uncertainty, Time(1)).count());
  return 1 / (error * error);
}

Time rounded(double value) {
  return Time(std::llround(value));
}

}  // namespace

ClockLine::ClockLine(const std::vector<ClockReading>& readings) {
  if (readings.empty())
    return;
  // Differences to the first reading are exact as doubles for three months.
  const Time first = moment_of(readings.front());
  const Time first_ahead = readings.front().ahead;
  std::vector<DataPoint> points;
  points.reserve(readings.size());
  for (const ClockReading& each : readings)
    points.push_back({.x = static_cast<double>((moment_of(each) - first).count()),
                      .y = static_cast<double>((each.ahead - first_ahead).count()),
                      .weight = weight_of(each)});
  const FittedLine line = fit_line(points);
  centre_ = first + rounded(line.mean_x);
  ahead_ = first_ahead + rounded(line.mean_y);
  drift_ = std::clamp(line.slope, -kMostDrift, kMostDrift);
  for (const ClockReading& each : readings) {
    const Time passed_by = std::chrono::abs(each.ahead - ahead_at(moment_of(each)));
    uncertainty_ = std::max(uncertainty_, passed_by + each.uncertainty);
  }
}

Time ClockLine::ahead_at(Time ours) const {
  return ahead_ + rounded(drift_ * static_cast<double>((ours - centre_).count()));
}

Time ClockLine::ours(Time theirs) const {
  // theirs = ours + ahead_ + drift_ · (ours − centre_), solved for ours − centre_
  const double since = static_cast<double>((theirs - ahead_ - centre_).count());
  return centre_ + rounded(since / (1 + drift_));
}

}  // namespace bubblescope

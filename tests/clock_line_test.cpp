// The clock of another process beside ours.
#include "backend_cuda/replay/clock_line.h"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <doctest/doctest.h>

namespace bubblescope {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using TimePoint = std::chrono::steady_clock::time_point;

/// ahead(t) = offset + drift · (t − since)
struct Truth {
  Time since;
  Time offset;
  double drift;  // parts of one

  Time ahead(Time ours) const {
    return offset + Time(std::llround(drift * static_cast<double>((ours - since).count())));
  }
};

ClockReading exact(const Truth& truth, Time at, Time uncertainty = Time(10)) {
  return {TimePoint(at), truth.ahead(at), uncertainty};
}

}  // namespace

TEST_CASE("without readings clocks are taken for one, with one reading for as far apart always") {
  CHECK(ClockLine({}).ours(seconds(7)) == seconds(7));
  CHECK(ClockLine({}).ahead_at(seconds(7)) == Time(0));
  CHECK(ClockLine({}).uncertainty() == Time(0));
  const ClockLine one({{TimePoint(hours(10)), -milliseconds(3), microseconds(5)}});
  CHECK(one.drift() == 0);
  CHECK(one.ahead_at(hours(20)) == -milliseconds(3));
  CHECK(one.ours(hours(20)) == hours(20) + milliseconds(3));
  CHECK(one.uncertainty() == microseconds(5));
}

TEST_CASE("offset and drift are recovered where readings are exact") {
  for (const Time since : {Time(0), Time(hours(24 * 365))})  // a host that is up for a year
    for (const Time offset : {Time(0), Time(seconds(-5)), Time(hours(24 * 300))})
      for (const double ppm : {0.0, 100.0, -100.0}) {
        const Truth truth = {since, offset, ppm * 1e-6};
        const Time end = since + seconds(20);
        const ClockLine line({exact(truth, since), exact(truth, end)});
        CHECK(std::abs(line.drift() - truth.drift) < 1e-9);
        CHECK(line.uncertainty() <= Time(12));
        for (Time at = since - seconds(1); at < end + seconds(1); at += milliseconds(97)) {
          CHECK(std::chrono::abs(line.ahead_at(at) - truth.ahead(at)) <= Time(2));
          CHECK(std::chrono::abs(line.ours(at + truth.ahead(at)) - at) <= Time(2));
        }
      }
}

TEST_CASE("readings at one moment tell an offset, and no drift") {
  const Time at = hours(1);
  const ClockLine line({{TimePoint(at), microseconds(10), microseconds(1)},
                        {TimePoint(at), microseconds(14), microseconds(1)}});
  CHECK(line.drift() == 0);
  CHECK(line.ahead_at(at) == microseconds(12));
  CHECK(line.uncertainty() == microseconds(3));
}

TEST_CASE("readings too close to each other tell no drift beyond that of clocks") {
  const Time at = hours(1);
  const ClockLine line({{TimePoint(at), Time(0), microseconds(50)},
                        {TimePoint(at + milliseconds(1)), microseconds(50), microseconds(50)}});
  CHECK(line.drift() <= 1e-3);
  CHECK(line.uncertainty() >= microseconds(50));
  // A second later it is not off by the 50 ms that the slope of the readings would tell.
  CHECK(std::chrono::abs(line.ahead_at(at + seconds(1))) < milliseconds(2));
}

TEST_CASE("a reading counts by the square of how sure it is") {
  const Time at = hours(1);
  const ClockLine line(
      {{TimePoint(at), Time(0), microseconds(1)}, {TimePoint(at), Time(1'000), microseconds(3)}});
  CHECK(line.ahead_at(at) == Time(100));  // 1/9 of the weight of the other
  const Truth truth = {at, seconds(2), 20e-6};
  ClockReading wild = exact(truth, at + seconds(5), milliseconds(10));
  wild.ahead += milliseconds(8);
  const ClockLine steady({exact(truth, at), wild, exact(truth, at + seconds(10))});
  CHECK(std::chrono::abs(steady.ahead_at(at + seconds(5)) - truth.ahead(at + seconds(5))) <
        Time(100));
  CHECK(steady.uncertainty() >= milliseconds(10));
}

TEST_CASE("the uncertainty bounds the error between readings, however these err") {
  constexpr std::uint64_t kSeed = 20'260'719;
  MESSAGE("seed ", kSeed);
  std::mt19937_64 random(kSeed);
  const auto between = [&](double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(random);
  };
  double tightest = 0;  // error as a share of the uncertainty
  for (int trial = 0; trial < 20'000; ++trial) {
    const Time since(static_cast<std::int64_t>(between(0, 1e16)));
    const Truth truth = {since, Time(static_cast<std::int64_t>(between(-1e10, 1e10))),
                         between(-100e-6, 100e-6)};
    std::vector<ClockReading> readings;
    Time at = since;
    for (std::uint64_t left = 2 + random() % 4; left > 0; --left) {
      const double uncertainty = std::exp(between(std::log(100.0), std::log(1e6)));
      ClockReading reading = exact(truth, at, Time(std::llround(uncertainty)));
      // Half of the time as wrong as can be.
      const double error = random() % 2 == 0 ? (random() % 2 == 0 ? 1 : -1) : between(-1, 1);
      reading.ahead += Time(static_cast<std::int64_t>(error * uncertainty));
      readings.push_back(reading);
      at += Time(static_cast<std::int64_t>(between(0, 1e9)));
    }
    const ClockLine line(readings);
    const Time end = readings.back().at.time_since_epoch();
    for (int i = 0; i <= 10; ++i) {
      const Time ours = since + i * (end - since) / 10;
      const Time error = std::chrono::abs(line.ahead_at(ours) - truth.ahead(ours));
      REQUIRE(error <= line.uncertainty() + Time(2));
      const Time theirs = ours + truth.ahead(ours);
      REQUIRE(std::chrono::abs(line.ours(theirs) - ours) <= error + error / 900 + Time(2));
      tightest = std::max(tightest, static_cast<double>(error.count()) /
                                        static_cast<double>(line.uncertainty().count()));
    }
  }
  CHECK(tightest > 0.9);  // and it is not just large
}

}  // namespace bubblescope

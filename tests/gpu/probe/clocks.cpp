// How %globaltimer ticks, alone and beside the host's clock.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "backend_cuda/cuda/clock.h"
#include "sim/base/statistics.h"
#include "tests/gpu/probe/device.h"

namespace bubblescope::gpu {
namespace {

using Counts = std::map<std::int64_t, std::int64_t>;  ///< How often each difference came.

/// The commonest differences, with their counts.
Table histogram(const Counts& counts) {
  constexpr std::size_t kShown = 8;
  std::vector<std::pair<std::int64_t, std::int64_t>> rows(counts.begin(), counts.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  double total = 0;
  for (const auto& row : rows)
    total += static_cast<double>(row.second);
  Table table{.name = "timer_histogram",
              .title = "%globaltimer: the commonest differences between readings that differ"};
  for (std::size_t i = 0; i < std::min(rows.size(), kShown); ++i)
    table.rows.push_back(
        {{"difference_ns", rows[i].first},
         {"count", rows[i].second},
         {"share_percent", rounded(100 * static_cast<double>(rows[i].second) / total)}});
  if (rows.size() > kShown)
    table.notes.push_back(std::to_string(rows.size() - kShown) + " other differences");
  return table;
}

}  // namespace

std::vector<Table> measure_timer(const Device& /*device*/) {
  constexpr int kRepeats = 5;
  const Stream stream = make_stream();
  const DeviceBuffer<TimerReadings> buffer(1);
  Table table{.name = "timer",
              .title = "%globaltimer: one thread reads it over and over",
              .notes = {"divisor: the greatest common divisor of all differences"}};
  Counts all;
  for (int repeat = 0; repeat <= kRepeats; ++repeat) {
    BUBBLESCOPE_CHECK(launch_read_timer(buffer.data(), stream.get()));
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
    if (repeat == 0)
      continue;  // warm-up
    const TimerReadings readings = buffer.download().front();
    if (readings.changes == 0)
      throw std::runtime_error("%globaltimer stands still");
    Counts counts;
    std::int64_t divisor = 0;
    std::int64_t sum = 0;
    for (unsigned int i = 0; i < readings.changes; ++i) {
      const auto difference = static_cast<std::int64_t>(readings.differences[i]);
      ++counts[difference];
      ++all[difference];
      divisor = std::gcd(divisor, difference);
      sum += difference;
    }
    const auto commonest =
        std::max_element(counts.begin(), counts.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    table.rows.push_back({{"repeat", repeat},
                          {"changes", readings.changes},
                          {"smallest_ns", counts.begin()->first},
                          {"commonest_ns", commonest->first},
                          {"divisor_ns", divisor},
                          {"largest_ns", counts.rbegin()->first},
                          {"ns_per_reading", rounded(static_cast<double>(sum) /
                                                     static_cast<double>(readings.readings))}});
  }
  return {table, histogram(all)};
}

std::vector<Table> measure_drift(const Device& /*device*/) {
  constexpr int kRounds = 21;
  constexpr std::chrono::milliseconds kPause{100};
  const Stream stream = make_stream();
  const SharedBuffer<ClockMailbox> mailbox(1);
  fastest_exchange(mailbox, stream.get());  // warm-up
  std::vector<Exchange> exchanges;
  for (int round = 0; round < kRounds; ++round) {
    if (const auto exchange = fastest_exchange(mailbox, stream.get()))
      exchanges.push_back(*exchange);
    std::this_thread::sleep_for(kPause);
  }
  if (exchanges.size() < 3)
    throw NotSupported("a running kernel and the host do not see each other's writes in time");
  std::vector<double> brackets;
  std::vector<DataPoint> points;
  for (const Exchange& exchange : exchanges) {
    brackets.push_back(to_us(exchange.bracket));
    const Time host = exchange.host - exchanges[0].host;
    const std::int64_t ahead = exchange.device - exchanges[0].device - host.count();
    points.push_back({.x = static_cast<double>(host.count()) / 1e9,
                      .y = static_cast<double>(ahead),
                      .weight = 1 / (brackets.back() * brackets.back())});
  }
  const FittedLine line = fit_line(points);
  // An exchange during which the host did something else says little.
  const double limit = 3 * *std::min_element(brackets.begin(), brackets.end());
  int fast = 0;
  double residual = 0;
  for (std::size_t i = 0; i < points.size(); ++i)
    if (brackets[i] <= limit) {
      ++fast;
      residual = std::max(residual, std::abs(points[i].y - line.at(points[i].x)));
    }
  ordered_json row = {{"seconds", rounded(points.back().x)},
                      {"fast", fast},
                      {"drift_ppm", rounded(line.slope / 1e3)},
                      {"residual_us", rounded(residual / 1e3)}};
  add_spread(row, "bracket_us", brackets);
  return {{.name = "drift",
           .title = "%globaltimer against the host's steady clock",
           .rows = {row},
           .notes = {"drift: how much faster the device's clock runs; residual: the largest "
                     "distance of a fast exchange from the line; bracket: how long the fastest "
                     "exchange of a round took; fast: rounds in which that was at most 3 times the "
                     "least"}}};
}

}  // namespace bubblescope::gpu

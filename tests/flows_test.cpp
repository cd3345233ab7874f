// Fair sharing of links: cases by hand, and a naive division of the links at every moment.
#include "sim/engine/flows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

struct Arrival {
  std::int64_t time;  // when its bytes begin to flow
  Bytes bytes;
  double limit;  // bytes per second; 0: none
  std::array<LinkId, 2> links{0, kNoLink};
};

/// [arrival] when each has ended.
std::vector<std::int64_t> run(const std::vector<double>& capacities,
                              const std::vector<Arrival>& arrivals) {
  Flows flows(capacities);
  std::vector<std::int64_t> ends(arrivals.size());
  std::multimap<std::int64_t, std::uint32_t> begins;
  for (std::uint32_t i = 0; i < arrivals.size(); ++i)
    begins.emplace(arrivals[i].time, i);
  std::size_t ended = 0;
  for (auto next = begins.begin(); ended < arrivals.size();) {
    if (next != begins.end() && Time(next->first) <= flows.next_end()) {
      const Time now(next->first);
      for (; next != begins.end() && Time(next->first) == now; ++next) {
        const Arrival& each = arrivals[next->second];
        flows.begin(now, {next->second, each.bytes, each.limit, each.links});
      }
      flows.settle(now);
      continue;
    }
    const Time now = flows.next_end();
    while (flows.next_end() == now) {
      ends[flows.end_next()] = now.count();
      ++ended;
    }
    flows.settle(now);
  }
  return ends;
}

using Ends = std::vector<std::int64_t>;
constexpr double kGB = 1e9;  // a byte a nanosecond

/// Rates by raising all of them together in small steps until a link or a limit holds them.
std::vector<double> naive_rates(const std::vector<double>& capacities,
                                const std::vector<Arrival>& flows) {
  std::vector<double> rates(flows.size());
  std::vector<bool> is_held(flows.size());
  std::vector<double> left = capacities;
  for (;;) {
    double step = std::numeric_limits<double>::infinity();
    std::vector<int> rising(capacities.size());
    for (std::size_t i = 0; i < flows.size(); ++i) {
      if (is_held[i])
        continue;
      if (flows[i].limit > 0)
        step = std::min(step, flows[i].limit - rates[i]);
      for (const LinkId link : flows[i].links)
        if (link != kNoLink)
          ++rising[link];
    }
    for (std::size_t link = 0; link < left.size(); ++link)
      if (rising[link] > 0)
        step = std::min(step, left[link] / rising[link]);
    if (std::isinf(step))
      return rates;
    for (std::size_t i = 0; i < flows.size(); ++i)
      if (!is_held[i]) {
        rates[i] += step;
        for (const LinkId link : flows[i].links)
          if (link != kNoLink)
            left[link] -= step;
      }
    for (std::size_t i = 0; i < flows.size(); ++i) {
      is_held[i] = is_held[i] || (flows[i].limit > 0 && rates[i] >= flows[i].limit * (1 - 1e-12));
      for (const LinkId link : flows[i].links)
        is_held[i] = is_held[i] || (link != kNoLink && left[link] <= capacities[link] * 1e-12);
    }
  }
}

/// The same as `run`, in doubles from one change to the next, over all flows at once.
std::vector<double> naive_run(const std::vector<double>& capacities,
                              const std::vector<Arrival>& arrivals) {
  std::vector<double> ends(arrivals.size(), -1);
  std::vector<double> left;
  for (const Arrival& each : arrivals)
    left.push_back(static_cast<double>(each.bytes));
  for (double now = 0;;) {
    std::vector<std::size_t> active;
    std::vector<Arrival> flows;
    double next = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < arrivals.size(); ++i)
      if (const auto begin = static_cast<double>(arrivals[i].time); begin > now) {
        next = std::min(next, begin);
      } else if (ends[i] < 0) {
        active.push_back(i);
        flows.push_back(arrivals[i]);
      }
    const std::vector<double> rates = naive_rates(capacities, flows);
    for (std::size_t i = 0; i < active.size(); ++i)
      next = std::min(next, now + left[active[i]] / rates[i] * 1e9);
    if (std::isinf(next))
      return ends;
    for (std::size_t i = 0; i < active.size(); ++i) {
      left[active[i]] -= rates[i] * (next - now) / 1e9;
      if (left[active[i]] < 1e-6)
        ends[active[i]] = next;
    }
    now = next;
  }
}

}  // namespace

TEST_CASE("A flow alone takes bytes / rate, rounded as a message's time is") {
  CHECK(run({kGB}, {{5, 1000, 0}}) == Ends{1005});
  CHECK(run({kGB}, {{5, 1000, 0.5 * kGB}}) == Ends{2005});
  CHECK(run({3 * kGB}, {{0, 1000, 0}, {1000, 2000, 0}}) == Ends{333, 1667});
}

TEST_CASE("Two flows divide a link, and the one that is left has all of it") {
  CHECK(run({kGB}, {{0, 1000, 0}, {0, 1000, 0}}) == Ends{2000, 2000});
  CHECK(run({kGB}, {{0, 1000, 0}, {0, 400, 0}}) == Ends{1400, 800});
}

TEST_CASE("A flow that comes later shares from then on") {
  // 0 has 300 bytes until 300, then half: 700 more take 1400. The other has 700 at 1700, 300 left.
  CHECK(run({kGB}, {{0, 1000, 0}, {300, 1000, 0}}) == Ends{1700, 2000});
  // At 200, 0 has 650 left, 1 has 750 and 2 all 800. In thirds 0 takes 1950 more; then 1 has 100
  // left, in halves, and 2 has 50 for itself at last.
  CHECK(run({kGB}, {{0, 800, 0}, {100, 800, 0}, {200, 800, 0}}) == Ends{2150, 2350, 2400});
}

TEST_CASE("What a flow's own limit leaves goes to the others") {
  // 200 MB/s for the first; the others have 400 each until they end at 1000; then 0 goes on.
  CHECK(run({kGB}, {{0, 300, 0.2 * kGB}, {0, 400, 0}, {0, 400, 0}}) == Ends{1500, 1000, 1000});
  // Limits that together are less than the link: nothing contends.
  CHECK(run({kGB}, {{0, 300, 0.3 * kGB}, {0, 300, 0.3 * kGB}, {0, 300, 0.3 * kGB}}) ==
        Ends{1000, 1000, 1000});
}

TEST_CASE("Two bottlenecks: max-min") {
  // Links of 1 and 2 bytes/ns. 0 crosses both, 1 the narrow, 2 the wide one: 0 and 1 have 0.5 each,
  // 2 has 1.5. At 1000 all of 0 and 1 have ended, and 2 goes on with 2.
  CHECK(run({kGB, 2 * kGB},
            {{0, 500, 0, {0, 1}}, {0, 500, 0, {0, kNoLink}}, {0, 3500, 0, {1, kNoLink}}}) ==
        Ends{1000, 1000, 2000});
  // Now 1 is short: at 200 it has ended, 0 rises to 1, and 2 falls to 1: more for one is less for
  // another. 0: 100 + 800; 2: 300 + 800, then 2 from 1000 on.
  CHECK(run({kGB, 2 * kGB},
            {{0, 900, 0, {0, 1}}, {0, 100, 0, {0, kNoLink}}, {0, 3100, 0, {1, kNoLink}}}) ==
        Ends{1000, 200, 2000});
}

TEST_CASE("Flows on links that touch nowhere do not know of each other") {
  CHECK(run({kGB, kGB}, {{0, 1000, 0, {0, kNoLink}}, {0, 1000, 0, {1, kNoLink}}}) ==
        Ends{1000, 1000});
}

TEST_CASE("Rates without end take no time") {
  const double infinite = std::numeric_limits<double>::infinity();
  CHECK(run({infinite}, {{7, 1000, 0}, {7, 10, 0}}) == Ends{7, 7});
}

TEST_CASE("Random flows end when a naive division of the links says") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    std::vector<double> capacities;
    for (int link = draw_int(engine, {1, 5}); link > 0; --link)
      capacities.push_back(kGB * draw_int(engine, {1, 5}));
    std::vector<Arrival> arrivals;
    for (int i = draw_int(engine, {1, 30}); i > 0; --i) {
      Arrival each{draw(engine, {0, 100'000}), draw(engine, {1, 50'000}),
                   draw_chance(engine, 50) ? kGB * draw_int(engine, {1, 20}) / 10 : 0};
      each.links = {static_cast<LinkId>(draw_index(engine, capacities.size())),
                    static_cast<LinkId>(draw_index(engine, capacities.size()))};
      if (each.links[0] == each.links[1])
        each.links[1] = kNoLink;
      arrivals.push_back(each);
    }
    const Ends ends = run(capacities, arrivals);
    const std::vector<double> expected = naive_run(capacities, arrivals);
    for (std::size_t i = 0; i < ends.size(); ++i) {
      CAPTURE(i);  // each end before was rounded by half a nanosecond, which others feel
      CHECK(std::abs(static_cast<double>(ends[i]) - expected[i]) <= 2);
    }
  }
}

TEST_CASE("A link that has something to do is never idle: its flow is conserved") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    std::vector<Arrival> arrivals;
    std::int64_t bytes = 0;
    for (int i = draw_int(engine, {1, 200}); i > 0; --i) {
      arrivals.push_back({draw(engine, {0, 1000}), draw(engine, {1000, 100'000}), 0});
      bytes += arrivals.back().bytes;
    }
    std::int64_t first = arrivals[0].time;
    for (const Arrival& each : arrivals)
      first = std::min(first, each.time);
    const Ends ends = run({kGB}, arrivals);
    const std::int64_t busy = *std::max_element(ends.begin(), ends.end()) - first;
    // 1000 ns after the first at most, all are there, and none has ended: no pause.
    CHECK(std::abs(busy - bytes) <= 3);  // each rounded end moves its share of half a nanosecond
  }
}

}  // namespace bubblescope

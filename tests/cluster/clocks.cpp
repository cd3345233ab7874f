#include "tests/cluster/clocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <thread>
#include <vector>

#include "backend_cuda/replay/clock_line.h"
#include "tests/cluster/job.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Moment = steady_clock::time_point;

struct Clock {
  Moment since;
  Time offset;
  double ppm;

  Moment at(Moment truth) const {
    const double run = static_cast<double>((truth - since).count());
    return truth + offset + Time(std::llround(run * ppm * 1e-6));
  }
  Time time_at(Moment truth) const { return at(truth).time_since_epoch(); }
};

struct Reading {
  std::vector<ClockReading> readings;
  ClockError found = {};
};

}  // namespace

ClockError align_clocks(milliseconds time) {
  const Moment now = steady_clock::now();
  const std::array<Clock, 4> clocks = {{{now, Time(0), -100},
                                        {now, std::chrono::seconds(5), 100},
                                        {now, milliseconds(-1'700), -100},
                                        {now, std::chrono::hours(1'000), 0}}};
  std::array<Reading, 4> of_rank;
  const auto read_all = [&](Control& control) {
    for (int rank = 1; rank < control.world(); ++rank)
      of_rank[static_cast<std::size_t>(rank)].readings.push_back(control.read_clock(rank));
  };
  std::vector<Part> parts = parts_of(static_cast<int>(clocks.size()), [&](Control& control) {
    if (control.leads()) {
      const Moment begin = steady_clock::now();
      read_all(control);
      std::this_thread::sleep_for(time);
      read_all(control);
      const Moment end = steady_clock::now();
      for (std::size_t rank = 1; rank < clocks.size(); ++rank) {
        const ClockLine line(of_rank[rank].readings);
        ClockError& found = of_rank[rank].found;
        found.uncertainty = line.uncertainty();
        for (Moment truth = begin; truth < end; truth += time / 100) {
          const Time ours = line.ours(clocks[rank].time_at(truth));
          found.error = std::max(found.error, std::chrono::abs(ours - clocks[0].time_at(truth)));
        }
      }
    }
    control.all_gather("the clocks are read");
  });
  for (std::size_t rank = 0; rank < parts.size(); ++rank)
    parts[rank].options.clock = [&, rank] { return clocks[rank].at(steady_clock::now()); };
  for (const Outcome& each : play(parts))
    if (!each.error.empty())
      throw std::runtime_error(each.error);
  return std::max_element(of_rank.begin() + 1, of_rank.end(),
                          [](const Reading& a, const Reading& b) {
                            return a.found.error - a.found.uncertainty <
                                   b.found.error - b.found.uncertainty;
                          })
      ->found;
}

}  // namespace bubblescope

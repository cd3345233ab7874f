// bubblescope_cluster_bench: how long 512 processes, forked on this machine, take to meet; how well
// the leader knows their clocks; how soon a death is noticed.
// bubblescope_cluster_bench faults [REPEATS]: each fault of the tests that often, 100 if not told,
// and how many jobs ended cleanly; exit code 1 if not all.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/cluster/clocks.h"
#include "tests/cluster/faults.h"
#include "tests/cluster/job.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kWorld = 512;
constexpr int kRounds = 5;
constexpr int kClockRounds = 20;
constexpr int kProcessesOfFaults = 8;

ControlOptions bench_options() {
  ControlOptions options = quick_options();
  options.meet_timeout = seconds(60);
  options.silence = seconds(5);
  return options;
}

double ms(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e6;
}

void print(const std::string& what, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  fmt::print("{:<58} {:9.1f} {:9.1f} {:9.1f}\n", what, values.front(), values[values.size() / 2],
             values.back());
  std::fflush(stdout);
}

struct Bootstrap {
  double from_start;    // of the first process to fork
  double welcome;       // of the last, from when all of them, or the leader, may begin
  double first_gather;  // in which all tell all something, since then
};

Bootstrap bootstrap(int world, bool leader_is_late) {
  const std::int64_t began = now_ns();
  ForkedJob job(world, bench_options());
  const auto work = [](Control& control, Story& story) {
    control.all_gather("a name of some length, as of a GPU");
    story.acted_at = now_ns();
  };
  if (!leader_is_late)
    job.close_gate();
  for (int rank = world - 1; rank > 0; --rank)
    job.start(rank, work);
  std::int64_t since = now_ns();
  job.start(0, work);
  if (!leader_is_late) {
    since = now_ns();
    job.open_gate();
  }
  std::int64_t welcome = 0;
  std::int64_t gathered = 0;
  for (int i = 0; i < world; ++i) {
    if (job.process(i).exit_code(seconds(60)) != 0)
      throw std::runtime_error(job.story(i).error.data());
    welcome = std::max(welcome, job.story(i).met_at.load());
    gathered = std::max(gathered, job.story(i).acted_at.load());
  }
  return {ms(welcome - began), ms(welcome - since), ms(gathered - since)};
}

void measure_bootstrap(bool leader_is_late) {
  std::vector<double> from_start;
  std::vector<double> welcome;
  std::vector<double> gathered;
  for (int round = 0; round < kRounds; ++round) {
    const Bootstrap each = bootstrap(kWorld, leader_is_late);
    from_start.push_back(each.from_start);
    welcome.push_back(each.welcome);
    gathered.push_back(each.first_gather);
  }
  const char* const since = leader_is_late ? "after a leader that comes last" : "all at once";
  print(fmt::format("{} processes, {}: all are welcome", kWorld, since), welcome);
  print("  the first all_gather is done", gathered);
  print("  with the time to fork them", from_start);
}

void measure_deaths(int world) {
  std::vector<double> noticed;
  for (int round = 0; round < kRounds; ++round) {
    ForkedJob job(world, bench_options());
    const int victim = world / 2;
    job.start_all([=](Control& control, Story& story) {
      control.all_gather("all are up");
      story.acted_at = now_ns();
      if (control.rank() == victim)
        std::this_thread::sleep_for(seconds(60));
      control.all_gather("never given by all");
    });
    for (int i = 0; i < world; ++i)
      if (!comes_true([&] { return job.story(i).acted_at != 0; }, seconds(60)))
        throw std::runtime_error("not all meet");
    const std::int64_t since = now_ns();
    job.process(victim).send(SIGKILL);
    std::int64_t last = 0;
    for (int i = 0; i < world; ++i) {
      job.process(i).exit_code(seconds(30));
      if (i == victim)
        continue;
      if (job.story(i).lost != victim)
        throw std::runtime_error(job.story(i).error.data());
      last = std::max(last, job.story(i).ended_at.load());
    }
    noticed.push_back(ms(last - since));
  }
  print(fmt::format("{} processes: the last learns of a death", world), noticed);
}

void measure_clocks() {
  std::vector<double> errors;
  std::vector<double> uncertainties;
  for (int round = 0; round < kClockRounds; ++round) {
    const ClockError each = align_clocks(seconds(2));
    errors.push_back(1e3 * ms(each.error.count()));
    uncertainties.push_back(1e3 * ms(each.uncertainty.count()));
  }
  print(fmt::format("clocks in {} rounds of 2 s: error in µs", kClockRounds), errors);
  print("  uncertainty in µs", uncertainties);
}

int measure() {
  fmt::print("{:<58} {:>9} {:>9} {:>9}\n", "ms", "least", "median", "most");
  measure_bootstrap(false);
  measure_bootstrap(true);
  for (const int world : {8, 64, kWorld})
    measure_deaths(world);
  measure_clocks();
  return 0;
}

int repeat_faults(int repeats) {
  bool all_clean = true;
  for (const Fault& fault : faults(kProcessesOfFaults)) {
    int clean = 0;
    std::string complaint;
    for (int i = 0; i < repeats; ++i)
      if (const std::string each = fault.happen(); each.empty())
        ++clean;
      else
        complaint = each;
    fmt::print("{:<45} {:>4} of {} clean {}\n", fault.name, clean, repeats, complaint);
    std::fflush(stdout);
    all_clean = all_clean && clean == repeats;
  }
  return all_clean ? 0 : 1;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty())
    return measure();
  int repeats = 100;
  bool good = arguments.size() <= 2 && arguments[0] == "faults";
  if (good && arguments.size() == 2) {
    const char* const end = arguments[1].data() + arguments[1].size();
    good = std::from_chars(arguments[1].data(), end, repeats).ptr == end && repeats > 0;
  }
  if (good)
    return repeat_faults(repeats);
  fmt::print(stderr, "usage: bubblescope_cluster_bench [faults [REPEATS]]\n");
  return 2;
}

}  // namespace
}  // namespace bubblescope

int main(int argc, char** argv) {
  try {
    return bubblescope::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "bubblescope_cluster_bench: {}\n", error.what());
    return 1;
  }
}

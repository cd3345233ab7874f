#include "tests/cluster/job.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

#include "tests/support/free_port.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;

constexpr int kDeviceExit = 4;

Outcome outcome_of(const Part& part, const std::function<void()>& met) {
  Outcome outcome;
  std::unique_ptr<Control> control;  // ends only after the time is taken
  try {
    control = Control::meet(part.seat, part.options);
    outcome.met = true;
    met();
    part.work(*control);
  } catch (const PeerLost& lost) {
    outcome.lost = lost.loss().rank;
    outcome.error = lost.what();
  } catch (const DeviceError& error) {
    outcome.error = error.what();
  }
  outcome.ended_at = now_ns();
  return outcome;
}

}  // namespace

Seat leader_of(int world) {
  Seat seat;
  seat.world = world;
  seat.leader = "127.0.0.1";
  seat.port = free_port();
  seat.job = "a test";
  seat.told_by = "the test";
  return seat;
}

Seat with_rank(Seat seat, int rank) {
  seat.rank = rank;
  return seat;
}

ControlOptions quick_options() {
  return {.meet_timeout = milliseconds(20'000),
          .silence = milliseconds(1'000 * kSlow),
          .grace = milliseconds(20'000),
          .version = "a test"};
}

std::vector<Outcome> play(const std::vector<Part>& parts) {
  std::vector<Outcome> outcomes(parts.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < parts.size(); ++i)
    threads.emplace_back([&, i] { outcomes[i] = outcome_of(parts[i], [] {}); });
  for (std::thread& each : threads)
    each.join();
  return outcomes;
}

std::vector<Part> parts_of(int world, const std::function<void(Control& control)>& work) {
  std::vector<Part> parts;
  const Seat leader = leader_of(world);
  for (int rank = 0; rank < world; ++rank)
    parts.push_back({with_rank(leader, rank), quick_options(), work});
  return parts;
}

std::int64_t now_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ForkedJob::ForkedJob(int world, const ControlOptions& options)
    : seat_(leader_of(world)), options_(options), stories_(static_cast<std::size_t>(world)) {}

void ForkedJob::start_all(const Work& work) {
  for (int rank = 0; rank < world(); ++rank)
    start(rank, work);
}

void ForkedJob::start(int rank, const Work& work) {
  Story& story = stories_[processes_.size()];
  processes_.emplace_back([&, rank] {
    wait_at_gate();
    Part part{with_rank(seat_, rank), options_};
    part.work = [&](Control& control) { work(control, story); };
    const Outcome outcome = outcome_of(part, [&] {
      story.met_at = now_ns();
      story.met = true;
    });
    story.lost = outcome.lost;
    outcome.error.copy(story.error.data(), story.error.size() - 1);
    story.ended_at = outcome.ended_at;
    return outcome.error.empty() ? 0 : kDeviceExit;
  });
}

void ForkedJob::close_gate() {
  if (::pipe2(gate_.data(), O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "pipe");
}

void ForkedJob::open_gate() {
  for (int& end : gate_)
    ::close(std::exchange(end, -1));
}

/// Until the last who holds the end for writing closes it.
void ForkedJob::wait_at_gate() const {
  if (gate_[1] < 0)
    return;
  ::close(gate_[1]);
  char byte = 0;
  static_cast<void>(::read(gate_[0], &byte, 1));
}

bool ForkedJob::all_meet() const {
  return comes_true(
      [&] {
        return std::all_of(stories_.begin(), stories_.begin() + processes_.size(),
                           [](const Story& each) { return each.met.load(); });
      },
      kToEnd);
}

}  // namespace bubblescope

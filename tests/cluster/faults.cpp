#include "tests/cluster/faults.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/cluster/job.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;

constexpr int kKilled = 128 + SIGKILL;
constexpr int kDeviceExit = 4;
/// Beside the silence: for threads to be scheduled, and words to be told.
constexpr milliseconds kSlack{1'000 * kSlow};

/// As a job does that runs: some wait for all others, some for a message. The leader waits for all.
void wait_for_others(Control& control) {
  control.all_gather("all are up");
  if (control.rank() % 2 == 0)
    control.all_gather("never given by all");
  while (!control.receive(milliseconds(100))) {
  }
}

/// Collects what is not as it has to be.
class Verdict {
 public:
  explicit Verdict(ForkedJob& job) : job_(job) {}

  void expect(bool holds, const std::string& what) {
    if (!holds && complaint_.empty())
      complaint_ = what;
  }
  void expect_exit(int process, int code) {
    const std::optional<int> ended = job_.process(process).exit_code(kToEnd);
    expect(ended == code, fmt::format("process {} ends with {}, not with {}: {}", process,
                                      ended ? *ended : -1, code, job_.story(process).error.data()));
  }
  /// That all but the culprits end, name the same one of these, say `says`, and do so in time.
  void expect_all_lose(const std::set<int>& culprits, const std::string& says, std::int64_t since,
                       milliseconds patience) {
    std::set<int> named;
    for (int rank = 0; rank < job_.world(); ++rank) {
      if (culprits.contains(rank))
        continue;
      expect_exit(rank, kDeviceExit);
      const Story& story = job_.story(rank);
      const std::string error = story.error.data();
      named.insert(story.lost);
      expect(error.find(says) != std::string::npos,
             fmt::format("rank {} does not say '{}' but '{}'", rank, says, error));
      const auto late = std::chrono::nanoseconds(story.ended_at - since) - patience;
      expect(late.count() <= 0, fmt::format("rank {} learns it {} ms too late", rank,
                                            static_cast<double>(late.count()) / 1e6));
    }
    expect(named.size() == 1 && culprits.contains(*named.begin()),
           fmt::format("rank {} is lost, not one of {}", fmt::join(named, " and "),
                       fmt::join(culprits, ", ")));
  }
  std::string complaint() const { return complaint_; }

 private:
  ForkedJob& job_;
  std::string complaint_;
};

std::string name_of(int rank) {
  return fmt::format("rank {} (host ", rank);
}

std::string killed(int world, std::set<int> victims) {
  ForkedJob job(world);
  job.start_all([](Control& control, Story&) { wait_for_others(control); });
  Verdict verdict(job);
  verdict.expect(job.all_meet(), "not all meet");
  const std::int64_t since = now_ns();
  for (const int victim : victims)
    job.process(victim).send(SIGKILL);
  verdict.expect_all_lose(victims, "has died", since, kSlack);
  verdict.expect_exit(*victims.begin(), kKilled);
  // A second one may have learned of the first before its own signal came.
  for (const int victim : victims)
    verdict.expect(job.process(victim).exit_code(kToEnd).has_value(), "a victim lives");
  return verdict.complaint();
}

/// And goes on later, to learn that the others have lost it.
std::string stopped(int world, int victim) {
  ForkedJob job(world);
  job.start_all([](Control& control, Story&) { wait_for_others(control); });
  Verdict verdict(job);
  verdict.expect(job.all_meet(), "not all meet");
  const std::int64_t since = now_ns();
  job.process(victim).send(SIGSTOP);
  const std::string says = name_of(victim);
  verdict.expect_all_lose({victim}, says, since, job.options().silence + kSlack);
  verdict.expect_all_lose({victim}, "no sign of life", since, job.options().silence + kSlack);
  job.process(victim).send(SIGCONT);
  verdict.expect_exit(victim, kDeviceExit);
  const Story& story = job.story(victim);
  verdict.expect(story.lost == victim, fmt::format("it blames rank {} itself: {}",
                                                   story.lost.load(), story.error.data()));
  return verdict.complaint();
}

std::string acts(int world, int victim, const std::string& says,
                 const std::function<void(Control&)>& act) {
  ForkedJob job(world);
  job.start_all([&](Control& control, Story& story) {
    if (control.rank() != victim)
      wait_for_others(control);
    control.all_gather("all are up");
    story.acted_at = now_ns();
    act(control);
  });
  Verdict verdict(job);
  verdict.expect(job.all_meet(), "not all meet");
  job.process(victim).exit_code(kToEnd);
  verdict.expect_all_lose({victim}, says, job.story(victim).acted_at, kSlack);
  return verdict.complaint();
}

/// One that hangs for good is ended by its grace, and says why if no other process does.
std::string ignores(int world, int victim, int ignorer) {
  ControlOptions options = quick_options();
  options.grace = milliseconds(500);
  ForkedJob job(world, options);
  const int stderr_of_all = ::memfd_create("stderr", 0);
  job.start_all([&](Control& control, Story&) {
    ::dup2(stderr_of_all, STDERR_FILENO);
    if (control.rank() == ignorer)
      for (;;)
        ::pause();
    wait_for_others(control);
  });
  Verdict verdict(job);
  verdict.expect(job.all_meet(), "not all meet");
  const std::int64_t since = now_ns();
  job.process(victim).send(SIGKILL);
  verdict.expect_exit(ignorer, kDeviceExit);
  const auto took = std::chrono::nanoseconds(now_ns() - since);
  verdict.expect(took >= options.grace && took <= options.grace + kSlack,
                 fmt::format("the one that ignores it ends after {} ms",
                             static_cast<double>(took.count()) / 1e6));
  for (int rank = 0; rank < world; ++rank)
    if (rank != victim && rank != ignorer)
      verdict.expect_exit(rank, kDeviceExit);
  std::array<char, 1'024> words{};
  static_cast<void>(::pread(stderr_of_all, words.data(), words.size() - 1, 0));
  ::close(stderr_of_all);
  const bool has_to_tell = ignorer == 0 || (victim == 0 && ignorer == 1);
  const std::string told = words.data();
  verdict.expect(told.empty() != has_to_tell && std::count(told.begin(), told.end(), '\n') <= 1,
                 fmt::format("it says '{}'", told));
  return verdict.complaint();
}

/// All but one have come, and one of these dies.
std::string dies_before_all_have_come(int world, int victim) {
  ForkedJob job(world);
  for (int rank = 0; rank + 1 < world; ++rank)
    job.start(rank, [](Control&, Story&) {});
  ::usleep(200'000);
  job.process(victim).send(SIGKILL);
  Verdict verdict(job);
  for (int rank = 0; rank + 1 < world; ++rank) {
    if (rank == victim)
      continue;
    verdict.expect_exit(rank, kDeviceExit);
    const std::string error = job.story(rank).error.data();
    verdict.expect(error.starts_with(name_of(victim)) &&
                       error.find("has ended before all were there") != std::string::npos,
                   fmt::format("rank {} says '{}'", rank, error));
  }
  return verdict.complaint();
}

std::string dies_within_a_payload(int world, int victim) {
  ForkedJob job(world);
  job.start_all([&](Control& control, Story& story) {
    if (control.rank() != victim)
      wait_for_others(control);
    control.all_gather("all are up");
    control.send(0, std::string(std::size_t{64} << 20, 'x'));
    story.acted_at = now_ns();
    ::kill(::getpid(), SIGKILL);
  });
  Verdict verdict(job);
  verdict.expect_exit(victim, kKilled);
  verdict.expect_all_lose({victim}, "has died", job.story(victim).acted_at, kSlack);
  return verdict.complaint();
}

}  // namespace

std::vector<Fault> faults(int world) {
  const int follower = 3;
  const int last = world - 1;
  const auto fails = [](Control& control) { control.fail("out of memory"); };
  const auto leaves = [](Control&) {};
  return {
      {"a process dies", [=] { return killed(world, {follower}); }},
      {"the leader dies", [=] { return killed(world, {0}); }},
      {"two processes die at once",
       [=] {
         return killed(world, {follower, last});
       }},
      {"a process dies before all have come",
       [=] { return dies_before_all_have_come(world, follower); }},
      {"a process dies within a payload", [=] { return dies_within_a_payload(world, follower); }},
      {"a process is stopped", [=] { return stopped(world, follower); }},
      {"the leader is stopped", [=] { return stopped(world, 0); }},
      {"a process fails", [=] { return acts(world, follower, "): out of memory", fails); }},
      {"the leader fails", [=] { return acts(world, 0, "): out of memory", fails); }},
      {"a process leaves while others wait",
       [=] { return acts(world, follower, "has left, while others wait", leaves); }},
      {"the leader leaves while others wait",
       [=] { return acts(world, 0, "has left, while others wait", leaves); }},
      {"a process ignores that another has died", [=] { return ignores(world, follower, last); }},
      {"the leader ignores that another has died", [=] { return ignores(world, follower, 0); }},
      {"a process ignores that the leader has died", [=] { return ignores(world, 0, 1); }},
  };
}

}  // namespace bubblescope

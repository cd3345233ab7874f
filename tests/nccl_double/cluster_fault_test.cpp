// Faults of jobs of real processes: however one goes wrong, all end in time, and it is told once
// what was first.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/nccl_double/faulty_job.h"
#include "tests/support/command.h"
#include "tests/support/effort.h"
#include "tests/support/free_port.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

using Trace = FaultyJob::Trace;

constexpr int kKilled = 128 + SIGKILL;
const std::string kHeardIn = "; it was last heard in ";
const std::string kSilent =
    fmt::format(" has given no sign of life for {} s: it hangs, is stopped, or its network stalls",
                kTimeout.count());
const std::string kStalled =
    fmt::format("bubblescope: 1f1b: for {} s nothing went on, after ", kTimeout.count());
const std::string kNotConnected =
    fmt::format(": not connected within {} s, though all processes live", kMeetTimeout.count());

/// Whether what was told of a rank that is lost names an action of its own stage as well.
bool names_action(const std::string& told, int rank) {
  const std::string own = kHeardIn + std::to_string(rank);
  return std::regex_search(told, std::regex(own + "[FIWB][0-7]$"));
}

TEST_CASE("a rank that is killed in a step is told with what it ran, by rank 0 or, of it, rank 1") {
  for (const auto& [processes, killed] : {std::pair(2, 1), {4, 1}, {8, 7}, {2, 0}, {8, 0}}) {
    CAPTURE(processes);
    CAPTURE(killed);
    FaultyJob one({.processes = processes, .ranks = processes});
    one.wait_for_step(milliseconds(400));  // until the last has begun an action
    one.signal(killed, SIGKILL);
    one.check_end({.codes = {{killed, kKilled}}, .trace = killed == 0 ? Trace::None : Trace::Kept});
    const std::string told = one.told_once();
    CHECK_MESSAGE(told.starts_with("bubblescope: 1f1b: " + name_of(one.job(), killed) +
                                   " has died" + kHeardIn),
                  told);
    CHECK_MESSAGE(names_action(told, killed), told);
  }
}

TEST_CASE("a rank that is stopped in a step is lost, and ends once it goes on") {
  for (const auto& [processes, stopped] : {std::pair(2, 1), {4, 2}, {2, 0}, {4, 0}}) {
    CAPTURE(processes);
    CAPTURE(stopped);
    FaultyJob one({.processes = processes, .ranks = processes});
    one.wait_for_step();
    one.signal(stopped, SIGSTOP);
    const auto all_others_have_ended = [&] {
      for (int rank = 0; rank < processes; ++rank)
        if (rank != stopped && !one.job().has_ended(rank))
          return false;
      return true;
    };
    CHECK(one.job().wait_until(all_others_have_ended, kLimit));
    CHECK(!one.job().has_ended(stopped));
    one.signal(stopped, SIGCONT);
    // Rank 0 finds itself lost, and keeps what it knows without a word.
    one.check_end({.trace = stopped == 0 ? Trace::Untold : Trace::Kept});
    const std::string told = one.told_once();
    CHECK_MESSAGE(told.starts_with("bubblescope: 1f1b: " + name_of(one.job(), stopped) + kSilent),
                  told);
    CHECK_MESSAGE(names_action(told, stopped), told);
  }
}

TEST_CASE("a job that is stopped as a whole, as a host that sleeps does, goes on") {
  FaultyJob one({.processes = 3, .ranks = 3, .words = "--repeats 2"});
  one.wait_for_step();
  for (const int number : {SIGSTOP, SIGCONT}) {
    for (int rank = 0; rank < 3; ++rank)
      one.signal(rank, number);
    std::this_thread::sleep_for(2 * kTimeout);
  }
  CHECK(one.job().wait(std::chrono::seconds(30)));
  for (int rank = 0; rank < 3; ++rank)
    CHECK_MESSAGE(one.job().result(rank).exit_code == 0, one.told());
  CHECK(one.folder().listing() == "report.json trace.json");
}

TEST_CASE("an action that hangs is named by the watchdog, with what waits behind it") {
  for (const auto& [processes, action] : {std::pair(2, "1:1F2"), {2, "0:0F1"}, {4, "2:2B3"}}) {
    CAPTURE(action);
    FaultyJob one({.processes = processes,
                   .ranks = processes,
                   .words = fmt::format("--inject hang:{}", action)});
    one.wait_for_step();
    one.check_end();
    CHECK(one.told_once().starts_with(kStalled));
    CHECK_MESSAGE(has(one.told(),
                      fmt::format("\n  rank {}: {} has begun and not ended",
                                  std::string(action).substr(0, 1), std::string(action).substr(2))),
                  one.told());
  }
}

TEST_CASE(
    "an action that fails is told by its rank and its name, not by what its peers see of it") {
  for (const auto& [processes, rank, action] :
       {std::tuple(2, 1, "1F2"), {2, 0, "0F1"}, {4, 2, "2B3"}, {8, 5, "5F0"}}) {
    CAPTURE(action);
    FaultyJob one({.processes = processes,
                   .ranks = processes,
                   .words = fmt::format("--inject fail:{}:{}", rank, action)});
    one.check_end();
    const std::string told = one.told_once();
    CHECK_MESSAGE(told.starts_with(fmt::format("bubblescope: 1f1b: {}: while rank {} ran {}: ",
                                               name_of(one.job(), rank), rank, action)),
                  told);
    CHECK_MESSAGE(has(told, "cudaErrorLaunchFailure"), told);
  }
}

TEST_CASE("of pipelines beside each other a fault names both the process and its place") {
  FaultyJob killed({.processes = 4, .ranks = 2});
  killed.wait_for_step();
  killed.signal(3, SIGKILL);
  killed.check_end({.codes = {{3, kKilled}}});
  const std::string died = "bubblescope: 1f1b: " + name_of(killed.job(), 3) +
                           " has died; it is rank 1 of pipeline 1 and was last heard in 1";
  CHECK_MESSAGE(killed.told_once().starts_with(died), killed.told());

  // Only the other pipeline's messages from rank 0 to rank 1 stall: that of processes 1 and 3.
  FaultyJob stalled({.processes = 4,
                     .ranks = 2,
                     .changes = {{1, {.environment = {{"BUBBLESCOPE_DOUBLE_STALL", "1,5"}}}}}});
  stalled.wait_for_step();
  stalled.check_end();
  CHECK_MESSAGE(has(stalled.told_once(), " instructions, in pipeline 1:"), stalled.told());
  CHECK_MESSAGE(has(stalled.told(), "\n  rank 1: receive of 0F"), stalled.told());
}

TEST_CASE("a rank that dies while communicators are made is told") {
  for (const int killed : {0, 1, 2}) {
    CAPTURE(killed);
    FaultyJob one({.processes = 3,
                   .ranks = 3,
                   .changes = {{1, {.environment = {{"BUBBLESCOPE_DOUBLE_INIT", "2,hang"}}}}}});
    one.wait_for_communicators();
    std::this_thread::sleep_for(milliseconds(100));
    one.signal(killed, SIGKILL);
    one.check_end({.codes = {{killed, kKilled}}, .trace = Trace::None});
    CHECK_MESSAGE(one.told_once() == "bubblescope: " + name_of(one.job(), killed) + " has died",
                  one.told());
  }
}

TEST_CASE("a communicator that does not come to be ends the job by --meet-timeout, and is named") {
  FaultyJob hangs({.changes = {{1, {.environment = {{"BUBBLESCOPE_DOUBLE_INIT", "2,hang"}}}}}});
  hangs.wait_for_communicators();
  hangs.check_end({.trace = Trace::None});
  CHECK_MESSAGE(has(hangs.told_once(), "NCCL: messages from rank 1 to rank 0" + kNotConnected),
                hangs.told());

  FaultyJob silent({.changes = {{1, {.environment = {{"BUBBLESCOPE_DOUBLE_STALL", "1,0"}}}}}});
  silent.wait_for_communicators();
  silent.check_end({.trace = Trace::None});
  CHECK_MESSAGE(has(silent.told_once(), "NCCL: messages from rank 0 to rank 1" + kNotConnected),
                silent.told());

  FaultyJob full({.processes = 3,
                  .ranks = 3,
                  .changes = {{2, {.environment = {{"BUBBLESCOPE_DOUBLE_INIT", "1,no-memory"}}}}}});
  full.check_end({.trace = Trace::None});
  CHECK_MESSAGE(
      full.told_once() == "bubblescope: " + name_of(full.job(), 2) +
                              ": NCCL: messages from rank 1 to rank 2: unhandled cuda error (Cuda "
                              "failure 2 'out of memory')",
      full.told());
}

TEST_CASE("messages that stall are told by what waits for them") {
  FaultyJob message({.changes = {{0, {.environment = {{"BUBBLESCOPE_DOUBLE_STALL", "1,12"}}}}}});
  message.wait_for_step();
  message.check_end();
  CHECK(message.told_once().starts_with(kStalled));
  CHECK_MESSAGE(has(message.told(), "\n  rank 1: receive of 0F"), message.told());
  CHECK_MESSAGE(has(message.told(), " from rank 0 has begun and not ended"), message.told());
}

/// The line between one process and the leader stalls, and both live.
TEST_CASE("a control line that stalls ends the job, though messages go on") {
  for (const int stalled : {2, 1}) {
    CAPTURE(stalled);
    const int port = free_port();
    StallingLine line(port);
    FaultyJob one({.processes = 3,
                   .ranks = 3,
                   .environment = {{"MASTER_PORT", std::to_string(port - 1)}},
                   .changes = {{stalled, {.environment = {{"MASTER_ADDR", "127.0.0.2"}}}}}});
    one.wait_for_step();
    line.stall();
    one.check_end();
    const std::string told = one.told();
    CHECK_MESSAGE(has(told, "bubblescope: 1f1b: " + name_of(one.job(), stalled) + kSilent), told);
    // To rank 1 it is the leader that is lost, and it cannot know that the leader tells of it.
    if (stalled != 1)
      CHECK(has(one.told_once(), kSilent));
  }
}

/// Two hosts, as far as their networks go.
class TwoHosts {
 public:
  TwoHosts() {
    is_there_ =
        can("ip netns add {0}a && ip netns add {0}b && "
            "ip link add left netns {0}a type veth peer name right netns {0}b && "
            "ip -n {0}a addr add 10.77.0.1/24 dev left && ip -n {0}a link set left up && "
            "ip -n {0}b addr add 10.77.0.2/24 dev right && ip -n {0}b link set right up && "
            "ip -n {0}a link set lo up && ip -n {0}b link set lo up");
  }
  ~TwoHosts() { can("ip netns del {0}a; ip netns del {0}b"); }
  TwoHosts(const TwoHosts&) = delete;
  TwoHosts& operator=(const TwoHosts&) = delete;

  bool are_there() const { return is_there_; }
  ProcessChange on(int host) const {
    return {.environment = {{"MASTER_ADDR", "10.77.0.1"},
                            {"BUBBLESCOPE_DOUBLE_ADDRESS", fmt::format("10.77.0.{}", host + 1)}},
            .prefix = fmt::format("ip netns exec {}{}", name_, "ab"[host])};
  }
  void pull_the_plug() const { CHECK(can("ip -n {0}b link set right down")); }

 private:
  bool can(const std::string& script) const {
    return run_shell(fmt::format(fmt::runtime(script), name_)).exit_code == 0;
  }

  const std::string name_ = fmt::format("bubblescope-{}-", ::getpid());
  bool is_there_ = false;
};

TEST_CASE("a network between two hosts that goes down ends the processes of both") {
  const TwoHosts hosts;
  if (!hosts.are_there()) {
    std::puts("skipped: no network namespaces can be made here");
    return;
  }
  FaultyJob one({.changes = {{0, hosts.on(0)}, {1, hosts.on(1)}}});
  one.wait_for_step();
  hosts.pull_the_plug();
  one.check_end();
  // Neither can know what the other one tells.
  for (const int rank : {0, 1})
    CHECK_MESSAGE(has(one.job().result(1 - rank).err,
                      "bubblescope: 1f1b: " + name_of(one.job(), rank) + kSilent),
                  one.told());
}

TEST_CASE("signals that launchers send end the job with one word") {
  for (const int number : {SIGTERM, SIGINT}) {
    CAPTURE(number);
    FaultyJob all({.processes = 4, .ranks = 4});
    all.wait_for_step();
    for (int rank = 0; rank < 4; ++rank)
      all.signal(rank, number);
    all.check_end();
    CHECK_MESSAGE(has(all.told_once(), "interrupted"), all.told());
  }

  FaultyJob one({});
  one.wait_for_step();
  one.signal(1, SIGTERM);
  one.check_end();
  CHECK_MESSAGE(
      one.told_once().starts_with("bubblescope: 1f1b: " + name_of(one.job(), 1) + ": interrupted"),
      one.told());
}

TEST_CASE("who was first at fault is told though a launcher then ends all, or another one dies") {
  FaultyJob ended({.processes = 3, .ranks = 3});
  ended.wait_for_step();
  ended.signal(2, SIGKILL);
  std::this_thread::sleep_for(milliseconds(20));
  for (const int rank : {0, 1})
    for (const int number : {SIGINT, SIGTERM})
      ended.signal(rank, number);
  ended.check_end({.codes = {{2, kKilled}}});
  CHECK_MESSAGE(has(ended.told_once(), name_of(ended.job(), 2) + " has died"), ended.told());

  FaultyJob two({.processes = 4, .ranks = 4});
  two.wait_for_step();
  two.signal(2, SIGKILL);
  std::this_thread::sleep_for(milliseconds(5));
  two.signal(3, SIGKILL);
  two.check_end({.codes = {{2, kKilled}, {3, kKilled}}});
  CHECK_MESSAGE((has(two.told_once(), name_of(two.job(), 2) + " has died") ||
                 has(two.told_once(), name_of(two.job(), 3) + " has died")),
                two.told());

  // The leader dies while it asks the others, one of which is stopped, how far they came.
  FaultyJob leader({.processes = 4, .ranks = 4});
  leader.wait_for_step();
  leader.signal(3, SIGSTOP);
  leader.signal(2, SIGKILL);
  std::this_thread::sleep_for(milliseconds(200));
  leader.signal(0, SIGKILL);
  std::this_thread::sleep_for(milliseconds(200));
  leader.signal(3, SIGCONT);
  leader.check_end({.codes = {{0, kKilled}, {2, kKilled}}, .trace = Trace::None});
  CHECK_MESSAGE(has(leader.told_once(), name_of(leader.job(), 2) + " has died"), leader.told());
}

/// How one process differs, and what is told of it.
struct Difference {
  const char* what;
  FaultyJobOptions job;
  std::string told;    ///< {N} stands for the name of rank N.
  int code = kDevice;  ///< Of all, whoever is at fault.
};

std::string with_names(std::string text, ClusterJob& job) {
  for (int rank = 0; rank < job.processes(); ++rank) {
    const std::string place = fmt::format("{{{}}}", rank);
    for (std::size_t at = text.find(place); at != text.npos; at = text.find(place))
      text.replace(at, place.size(), name_of(job, rank));
  }
  return text;
}

void check(const Difference& difference) {
  CAPTURE(difference.what);
  FaultyJob one(difference.job);
  one.check_end({.code = difference.code, .trace = Trace::None});
  const std::string expected = "bubblescope: " + with_names(difference.told, one.job());
  CHECK_MESSAGE(one.told_once().starts_with(expected), one.told() << "\nexpected: " << expected);
}

FaultyJobOptions with(int rank, const std::string& variable, const std::string& value) {
  return {.changes = {{rank, {.environment = {{variable, value}}}}}};
}

TEST_CASE("processes that do not fit together are told, before anything runs") {
  check(
      {"too many", {.processes = 3, .ranks = 2}, "3 processes (torchrun) for 2 pipeline ranks: "});
  check({"another number", with(1, "WORLD_SIZE", "3"), "{1} is told of 3 processes, {0} of 2: "});
  check({"one comes twice",
         {.processes = 3, .ranks = 3, .changes = {{2, {.environment = {{"RANK", "1"}}}}}},
         "rank 1 has come twice: as process "});
  check({"one is missing",
         {.processes = 3, .ranks = 4, .environment = {{"WORLD_SIZE", "4"}}},
         fmt::format("rank 3 of 4 has not come within {} s; rank 0 listens at 127.0.0.1:",
                     kMeetTimeout.count())});
  check({"two on one GPU", with(1, "LOCAL_RANK", "0"),
         "ranks 0 and 1 have the same GPU (0000:01:00.0): NCCL needs one for each; "});
  check({"one GPU for all",
         {.environment = {{"BUBBLESCOPE_DOUBLE_GPUS", "1"}}},
         "ranks 0 and 1 have the same GPU (0000:01:00.0): "});
  check({"another NCCL", with(1, "BUBBLESCOPE_DOUBLE_NCCL_VERSION", "21805"),
         "rank 0 has NCCL 2.28.9 and rank 1 has 2.18.5: they need the same"});
}

TEST_CASE("what one process lacks is told by its name") {
  check({"no module", with(1, "BUBBLESCOPE_CUDA_MODULE", "/nowhere/module.so"),
         "{1}: --backend nccl: /nowhere/module.so: cannot open shared object file"});
  check({"no NCCL", with(0, "BUBBLESCOPE_NCCL_LIBRARY", "/nowhere/libnccl.so"),
         "{0}: cannot load the library that BUBBLESCOPE_NCCL_LIBRARY names: /nowhere/libnccl.so"});
  check({"no memory", with(1, "BUBBLESCOPE_DOUBLE_MEMORY", "100"), "{1}: no memory for "});
  check(
      {"no memory, on rank 0", with(0, "BUBBLESCOPE_DOUBLE_MEMORY", "100"), "{0}: no memory for "});
}

TEST_CASE("processes whose words or files differ are told, before anything runs") {
  const std::string differ = "{0} and {1} differ in ";
  const std::string same = ": all processes need the same words, files and BUBBLESCOPE_ variables";
  check({"costs", with(1, "BUBBLESCOPE_P2P", "1us"), differ + "the costs" + same});
  check({"repeats", with(1, "BUBBLESCOPE_REPEATS", "2"), differ + "--repeats" + same});

  const TemporaryFolder programs;
  for (const std::string name : {"1f1b", "gpipe"})
    run(fmt::format("order {} -p 2 -m 8 --comm stream --to json -o {}", name,
                    (programs / name).string()));
  const auto with_program = [&](const std::string& of_rank_1) {
    return FaultyJobOptions{
        .subject = "",
        .changes = {{0, {.arguments = "--program " + (programs / "1f1b").string()}},
                    {1, {.arguments = "--program " + (programs / of_rank_1).string()}}}};
  };
  check({"programs", with_program("gpipe"), differ + "the order of actions" + same});
  check({"no program", with_program("none"), "{1}: ", kBadInput});
  check({"words that do not go together",
         {.changes = {{1, {.arguments = "--program none.json"}}}},
         "{1}: NAME and --program do not go together",
         kUsage});
  check({"an output that cannot be written",
         {.processes = 3, .ranks = 3, .outputs = "--trace /nowhere/trace.json"},
         "cannot write /nowhere/trace.json: No such file or directory",
         kBadInput});
}

/// Seconds of the processor that a process has used.
double seconds_used(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::istringstream rest(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i)
    rest >> skipped;
  double user = 0;
  double system = 0;
  rest >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

TEST_CASE("whoever waits for a peer does not spin") {
  if (kSanitized)
    return;
  FaultyJob one({.changes = {{1, {.environment = {{"BUBBLESCOPE_DOUBLE_INIT", "1,hang"}}}}}});
  one.wait_for_communicators();
  const auto used = [&] { return seconds_used(one.job().id(0)) + seconds_used(one.job().id(1)); };
  std::this_thread::sleep_for(milliseconds(300));
  const double before = used();
  std::this_thread::sleep_for(milliseconds(2'000));
  CHECK(used() - before < 1.5);  // of the 2 that one of them would use
  one.check_end({.trace = Trace::None});
}

}  // namespace
}  // namespace bubblescope

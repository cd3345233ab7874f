#include "tools/job.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <string>
#include <unistd.h>

#include <fmt/format.h>

#include "backend_cuda/cluster/alike.h"
#include "backend_cuda/cluster/follower.h"
#include "backend_cuda/cluster/leader.h"
#include "backend_cuda/cluster/process_name.h"
#include "backend_cuda/cluster/rank_place.h"
#include "tools/errors.h"
#include "tools/executors.h"
#include "tools/version.h"

namespace bubblescope {
namespace {

/// Once a process has left, some launchers end the others: the first may have to tell why yet.
constexpr std::chrono::milliseconds kForTheLeader{4'000};
constexpr unsigned int kSecondsToLeave = 8;

Seat seat_of(const MachineChoice& machine) {
  try {
    return find_seat(machine.cluster.seat, process_environment());
  } catch (const SeatFlagError& error) {
    throw UsageError(error.what());
  }
}

Job meet(const MachineChoice& machine) {
  using std::chrono::milliseconds;
  Job job{.seat = seat_of(machine), .timeout = machine.replay.timeout};
  if (job.seat.world == 1)
    check_nccl();  // what is missing here is told before that other processes are
  ControlOptions options{.meet_timeout = machine.cluster.meet_timeout,
                         .version = fmt::format("bubblescope {}", kVersion)};
  options.silence = std::clamp(machine.replay.timeout, milliseconds(1000), options.silence);
  try {
    job.control = Control::meet(job.seat, options);
  } catch (const PeerLost&) {
    throw FaultElsewhere{kDevice};
  }
  return job;
}

std::vector<std::int32_t> find_nodes(Control& control) {
  std::vector<std::int32_t> node_of_process;
  std::vector<std::string> hosts;
  for (const std::string& host : control.all_gather(host_identity())) {
    const auto found = std::find(hosts.begin(), hosts.end(), host);
    node_of_process.push_back(static_cast<std::int32_t>(found - hosts.begin()));
    if (found == hosts.end())
      hosts.push_back(host);
  }
  return node_of_process;
}

/// What each process was told of the machine.
std::vector<Alike> digests_of(const MachineChoice& machine) {
  const TensorShape& shape = machine.executor.shape;
  std::vector<Alike> digests;
  const auto add = [&](const char* option, auto value) {
    digests.push_back({option, Digest().add(static_cast<std::uint64_t>(value))});
  };
  add("--workload", machine.executor.workload);
  add("--tokens", shape.tokens);
  add("--hidden", shape.hidden);
  add("--inner", shape.inner);
  add("--blocks", shape.blocks);
  add("--seed", shape.seed);
  add("--max-ctas", machine.executor.max_ctas);
  add("--warm-ups", machine.replay.warm_ups);
  add("--repeats", machine.replay.repeats);
  add("--timeout", machine.replay.timeout.count());
  add("--no-check", machine.is_checked);
  digests.push_back({"--inject", Digest().add(machine.injection)});
  return digests;
}

int code_of(const std::exception& error) {
  if (dynamic_cast<const UsageError*>(&error) != nullptr)
    return kUsage;
  return dynamic_cast<const DeviceError*>(&error) != nullptr ? kDevice : kBadInput;
}

/// As the process has it that failed; of one that is lost, kDevice.
int code_of(const Loss& loss) {
  return loss.code == 0 ? kDevice : loss.code;
}

/// Whether this process tells what ended the job.
bool tells(Job& job) {
  const Loss loss = *job.control->loss();
  if (job.leads())
    return loss.rank != 0 || !loss.is_told;
  switch (job.control->presence(0)) {
    case Control::Presence::There:
      break;  // it tells
    case Control::Presence::Left:
      return !loss.is_told && (job.seat.rank == 1 || loss.rank == job.seat.rank);
    case Control::Presence::Lost:
      return job.seat.rank == 1;
  }
  return false;
}

std::atomic<const std::atomic<bool>*> job_is_lost = nullptr;

void end_unless_lost(int signal) {
  const std::atomic<bool>* const is_lost = job_is_lost;
  if (is_lost != nullptr && *is_lost)
    return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

/// Once a job is lost, some launchers end all its processes: from then on that is in vain, since it
/// would take the last words. Where InterruptGuard lives, it comes first.
class SignalsUntilLoss {
 public:
  explicit SignalsUntilLoss(const Control& control) : is_lost_(control.is_lost()) {
    job_is_lost = &is_lost_;
    set(&end_unless_lost);
  }
  ~SignalsUntilLoss() {
    set(is_lost_ ? SIG_IGN : SIG_DFL);
    job_is_lost = nullptr;
  }
  SignalsUntilLoss(const SignalsUntilLoss&) = delete;
  SignalsUntilLoss& operator=(const SignalsUntilLoss&) = delete;

 private:
  static void set(void (*handler)(int)) {
    std::signal(SIGINT, handler);
    std::signal(SIGTERM, handler);
  }

  const std::atomic<bool>& is_lost_;
};

/// To be called where `error` is caught. Nothing may hang on the way out, as a driver may that has
/// lost its GPU.
[[noreturn]] void leave(Job& job, const std::exception& error) {
  std::signal(SIGALRM, [](int) { ::_exit(kDevice); });
  ::alarm(kSecondsToLeave);
  job.control->fail(error.what(), code_of(error));
  while (!job.leads() && job.control->receive_after_loss(kForTheLeader)) {
  }
  const Loss loss = *job.control->loss();
  if (!tells(job))
    throw FaultElsewhere{code_of(loss)};
  const bool names_process = dynamic_cast<const ReplayFault*>(&error) != nullptr ||
                             dynamic_cast<const JobError*>(&error) != nullptr;
  if (loss.rank != job.seat.rank && (code_of(error) != code_of(loss) || !names_process))
    throw FaultElsewhere{code_of(loss), loss.what};
  if (code_of(error) == kDevice && !names_process && job.seat.world > 1)
    throw DeviceError(loss.what);
  throw;
}

}  // namespace

std::vector<std::int32_t> nodes_of_ranks(const Job& job, int ranks) {
  RankPlace place = place_of(ranks, job.seat);
  place.replica = 0;
  std::vector<std::int32_t> hosts;
  std::vector<std::int32_t> nodes;
  for (Rank rank = 0; rank < ranks; ++rank) {
    const std::int32_t host = job.node_of_process[static_cast<std::size_t>(place.process_of(rank))];
    const auto found = std::find(hosts.begin(), hosts.end(), host);
    nodes.push_back(static_cast<std::int32_t>(found - hosts.begin()));
    if (found == hosts.end())
      hosts.push_back(host);
  }
  return nodes;
}

std::unique_ptr<Executor> make_executor(Job& job, const Plan& plan,
                                        const ExecutorOptions& options) {
  Control& control = *job.control;
  require_alike(control, digests_of(plan));
  const RankPlace place = place_of(plan.ranks(), job.seat);
  auto own = make_rank_executor(plan, options, place, control);
  return job.leads() ? make_leader(plan, control, std::move(own), place, job.timeout)
                     : make_follower(plan, control, std::move(own), place);
}

int in_job(const MachineChoice& machine, const GlobalOptions& global,
           const std::function<int(Job* job, const GlobalOptions& global)>& work) {
  if (machine.backend != Backend::Nccl)
    return work(nullptr, global);
  // Launchers end all once one has left: it says goodbye when the last words are out, at the exit.
  static Job job = meet(machine);
  GlobalOptions own = global;
  own.quiet = global.quiet || !job.leads();
  const SignalsUntilLoss signals(*job.control);
  try {
    job.node_of_process = find_nodes(*job.control);
    require_alike(*job.control, digests_of(machine));
    return work(&job, own);
  } catch (const std::exception& error) {
    leave(job, error);
  }
}

}  // namespace bubblescope

#include "tools/job.h"

#include <algorithm>

#include <fmt/format.h>

#include "backend_cuda/cluster/follower.h"
#include "backend_cuda/cluster/leader.h"
#include "backend_cuda/cluster/process_name.h"
#include "tools/errors.h"
#include "tools/executors.h"
#include "tools/version.h"

namespace bubblescope {
namespace {

constexpr std::chrono::milliseconds kForTheLeader{1'000};

Job join(const MachineChoice& machine) {
  using std::chrono::milliseconds;
  Job job{.seat = find_seat(machine.cluster.seat, process_environment()), .control = nullptr};
  if (job.seat.world == 1)
    check_nccl();  // what is missing here is told before that other processes are
  ControlOptions options{.meet_timeout = machine.cluster.meet_timeout,
                         .version = fmt::format("bubblescope {}", kVersion)};
  options.silence = std::clamp(machine.replay.timeout, milliseconds(1000), options.silence);
  job.control = Control::meet(job.seat, options);
  std::vector<std::string> hosts;
  for (const std::string& host : job.control->all_gather(host_identity())) {
    const auto found = std::find(hosts.begin(), hosts.end(), host);
    job.node_of_process.push_back(static_cast<std::int32_t>(found - hosts.begin()));
    if (found == hosts.end())
      hosts.push_back(host);
  }
  return job;
}

/// Whether this process tells what ended the job.
bool tells(const Job& job) {
  const auto loss = job.control->loss();
  return job.leads() || (loss && loss->rank == 0 && !loss->is_told && job.seat.rank == 1);
}

}  // namespace

std::unique_ptr<Executor> make_executor(Job& job, const Plan& plan,
                                        const ExecutorOptions& options) {
  const RankPlace place = place_of(plan, job.seat);
  auto own = make_rank_executor(plan, options, place, *job.control);
  return job.leads() ? make_leader(plan, *job.control, std::move(own), place)
                     : make_follower(plan, *job.control, std::move(own), place);
}

int in_job(const MachineChoice& machine, const GlobalOptions& global,
           const std::function<int(Job* job, const GlobalOptions& global)>& work) {
  if (machine.backend != Backend::Nccl)
    return work(nullptr, global);
  Job job = join(machine);
  GlobalOptions own = global;
  own.quiet = global.quiet || !job.leads();
  try {
    return work(&job, own);
  } catch (const std::exception& error) {
    job.control->fail(error.what());
    if (tells(job))
      throw;
  }
  // Once a process has failed, some launchers end the others: the first may have to tell why yet.
  while (job.control->receive_after_loss(kForTheLeader)) {
  }
  throw ToldElsewhere{kDevice};
}

}  // namespace bubblescope

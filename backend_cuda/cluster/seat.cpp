#include "backend_cuda/cluster/seat.h"

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/cluster/token.h"
#include "backend_cuda/replay/executor.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr int kMostProcesses = 1 << 20;
constexpr int kMostPort = 65'535;
constexpr int kTorchrunPort = 29'500;  // torchrun's own default
/// Slurm numbers the steps of a batch script, of an interactive shell and the like from here.
constexpr std::uint64_t kFirstSpecialStep = 0xffff'fff0U;

constexpr const char* kOfLocalRank =
    ", the number of the process, and of its GPU, on its host: 0 where each host or pod has one "
    "process";

struct HostAndPort {
  std::string host;
  std::optional<int> port;
};

template <class Wrong = DeviceError>
int number(std::string_view name, const std::string& text, int least, int most) {
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < least || value > most)
    throw Wrong(fmt::format("{} is '{}': expected a whole number from {} to {}", name,
                            printable_name(text), least, most));
  return value;
}

int number_of_flag(std::string_view name, const std::string& text, int least, int most) {
  return number<SeatFlagError>(name, text, least, most);
}

/// "gpu7", "gpu7:4000", "10.0.0.1:4000", "::1", "[::1]:4000"
HostAndPort parse_master(const std::string& text) {
  const auto fail = [&] {
    return SeatFlagError(fmt::format("--master is '{}': expected HOST, HOST:PORT or [ADDRESS]:PORT",
                                     printable_name(text)));
  };
  HostAndPort result;
  std::string rest;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string::npos)
      throw fail();
    result.host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
  } else if (text.find(':') == text.rfind(':')) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    result.host = text.substr(0, colon);
    rest = text.substr(colon);
  } else {
    result.host = text;  // an address of IPv6 without a port
  }
  if (result.host.empty() || (!rest.empty() && (rest.front() != ':' || rest.size() == 1)))
    throw fail();
  if (!rest.empty())
    result.port = number_of_flag("the port of --master", rest.substr(1), 1, kMostPort);
  return result;
}

/// How a launcher tells who a process is.
struct Launcher {
  const char* name;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;  // or nothing
};

constexpr Launcher kTorchrun = {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", nullptr};
constexpr Launcher kSlurm = {"Slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", nullptr};
constexpr Launcher kOpenMpi = {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                               "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Launcher kPmi = {"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"};
constexpr Launcher kPals = {"PALS", "PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE"};

class SeatSearch {
 public:
  SeatSearch(const SeatFlags& flags, const Environment& environment)
      : flags_(flags), variable_(environment) {}

  Seat run() {
    if (!flags_.master.empty())
      master_ = parse_master(flags_.master);
    take_first();
    if (!flags_.local_rank.empty())
      seat_.local_rank = number_of_flag("--local-rank", flags_.local_rank, 0, kMostProcesses - 1);
    seat_.secret = variable_(kSecretVariable).value_or("");
    return std::move(seat_);
  }

 private:
  void take_first() {
    if (!flags_.rank.empty() || !flags_.world_size.empty())
      return take_flags();
    if (tells(kTorchrun))
      return take_torchrun();
    if (variable_(kSlurm.rank) && !within_slurm())
      return take_slurm();
    if (tells(kOpenMpi))
      return take_mpi(kOpenMpi, {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"},
                      "mpirun -x MASTER_ADDR=host");
    if (tells(kPmi) && variable_(kPals.local_rank))
      return take_mpi(kPals, {"PALS_APID", "PBS_JOBID"}, "mpiexec --env MASTER_ADDR=host");
    if (tells(kPmi))
      return take_mpi(kPmi, {"PMI_JOBID", "SLURM_JOB_ID"}, "mpiexec -genv MASTER_ADDR host");
    take_single();
  }

  void take_flags() {
    if (flags_.rank.empty() || flags_.world_size.empty())
      throw SeatFlagError(flags_.rank.empty() ? "--world-size is given without --rank"
                                              : "--rank is given without --world-size");
    seat_.told_by = "the options";
    seat_.world = number_of_flag("--world-size", flags_.world_size, 1, kMostProcesses);
    seat_.rank = number_of_flag("--rank", flags_.rank, 0, seat_.world - 1);
    if (seat_.world > 1 && flags_.local_rank.empty())
      throw SeatFlagError(fmt::format("--rank is given without --local-rank{}", kOfLocalRank));
    take_master<SeatFlagError>(
        "--rank and --world-size do not give the host of rank 0: give --master HOST:PORT");
    seat_.port = told_port().value_or(static_cast<std::uint16_t>(kTorchrunPort + 1));
    seat_.job = fmt::format("flags, port {}", seat_.port);
  }

  void take_torchrun() {
    take_numbers(kTorchrun);
    take_master(
        "torchrun: MASTER_ADDR is not set, the host of rank 0: set it, or give --master HOST:PORT");
    seat_.port = told_port().value_or(static_cast<std::uint16_t>(kTorchrunPort + 1));
    seat_.job =
        fmt::format("torchrun {} {} port {}", variable_("TORCHELASTIC_RUN_ID").value_or("none"),
                    variable_("TORCHELASTIC_RESTART_COUNT").value_or("0"), seat_.port);
  }

  void take_slurm() {
    if (in_batch_script())
      return take_slurm_script();
    Launcher step_of_slurm = kSlurm;
    // SLURM_NTASKS stays that of the whole job where srun is told to preserve the environment.
    if (variable_("SLURM_STEP_NUM_TASKS"))
      step_of_slurm.size = "SLURM_STEP_NUM_TASKS";
    if (!variable_(step_of_slurm.size))
      throw_no_size(step_of_slurm);
    take_numbers(step_of_slurm);
    if (seat_.world == 1)
      return;
    const std::string step = variable_("SLURM_STEP_ID").value_or("0");
    std::optional<std::string> job = variable_("SLURM_JOB_ID");
    if (!job)
      throw DeviceError("Slurm: SLURM_JOB_ID is not set, though SLURM_PROCID is");
    seat_.job = fmt::format("Slurm {}.{}", *job, step);
    seat_.port = port_of_job();
    if (master_) {
      seat_.leader = master_->host;
      return;
    }
    std::optional<std::string> hosts = variable_("SLURM_STEP_NODELIST");
    if (!hosts)
      hosts = variable_("SLURM_JOB_NODELIST");
    if (!hosts)
      throw DeviceError(
          "Slurm: neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST is set, whose first host is "
          "that of rank 0: give --master HOST");
    seat_.leader = expand_host_list(*hosts).front();
  }

  /// Where a job is told of no number of tasks, one in its script is as good as one by srun.
  void take_slurm_script() {
    const std::string tasks = variable_("SLURM_NTASKS").value_or("1");
    if (number("SLURM_NTASKS", tasks, 1, kMostProcesses) > 1)
      throw DeviceError(fmt::format(
          "Slurm: this is not one of SLURM_NTASKS = {} processes but the batch script or a shell: "
          "start it by srun, or give --rank 0 --world-size 1 --local-rank 0 for a single process",
          tasks));
    seat_.told_by = kSlurm.name;
  }

  /// Launchers of MPI tell no host, but whether all processes are on one.
  void take_mpi(const Launcher& launcher, std::pair<const char*, const char*> job_names,
                const char* advice) {
    take_numbers(launcher);
    if (seat_.world == 1)
      return;
    std::optional<std::string> job = variable_(job_names.first);
    if (!job)
      job = variable_(job_names.second);
    seat_.job = fmt::format("{} {}", launcher.name, job.value_or("none"));
    seat_.port = told_port().value_or(port_of_job());
    const std::optional<std::string> local_size = variable_(launcher.local_size);
    const bool one_host =
        local_size && number(launcher.local_size, *local_size, 1, seat_.world) == seat_.world;
    if (one_host && !master_ && !variable_("MASTER_ADDR"))
      seat_.leader = "127.0.0.1";
    else
      take_master(
          fmt::format("{} does not give the host of rank 0, and {}: name it by `{}`, or give "
                      "--master HOST",
                      launcher.name,
                      local_size ? "the processes are on several hosts"
                                 : fmt::format("{} is not set", launcher.local_size),
                      advice));
  }

  void take_single() {
    for (const Launcher& each : {kTorchrun, kOpenMpi, kPmi})
      if (variable_(each.rank))
        throw_no_size(each);
    if (variable_("PMIX_RANK"))
      throw DeviceError(
          "PMIX_RANK is set, but PMIx gives the number of processes in no variable: give --rank "
          "and --world-size");
    if (master_)
      throw SeatFlagError(
          "--master is given, but neither --rank and --world-size nor a launcher say which "
          "process this is");
    if (variable_("SLURM_JOB_ID"))
      return take_slurm_script();  // salloc's shell has no SLURM_PROCID
    seat_.told_by = "a single process";
  }

  [[noreturn]] static void throw_no_size(const Launcher& launcher) {
    throw DeviceError(
        fmt::format("{} is set, but {} is not, the number of processes: set it, or give --rank and "
                    "--world-size",
                    launcher.rank, launcher.size));
  }

  bool tells(const Launcher& launcher) const {
    return variable_(launcher.rank) && variable_(launcher.size);
  }

  /// Whether an mpirun within a Slurm job has started this process: Slurm's variables are then
  /// those of the batch script, or of mpirun's daemon.
  bool within_slurm() const { return variable_(kOpenMpi.rank) || variable_(kPmi.local_rank); }

  /// srun numbers the step of what it starts.
  bool in_batch_script() const {
    const std::optional<std::string> step = variable_("SLURM_STEP_ID");
    if (!step)
      return !variable_("SLURM_STEP_NODELIST");
    std::uint64_t value = 0;
    const char* const end = step->data() + step->size();
    const auto [stop, error] = std::from_chars(step->data(), end, value);
    if (error != std::errc() || stop != end)
      throw DeviceError(
          fmt::format("SLURM_STEP_ID is '{}': expected a whole number", printable_name(*step)));
    return value >= kFirstSpecialStep;
  }

  void take_numbers(const Launcher& launcher) {
    seat_.told_by = launcher.name;
    seat_.world = number(launcher.size, *variable_(launcher.size), 1, kMostProcesses);
    seat_.rank = number(launcher.rank, *variable_(launcher.rank), 0, seat_.world - 1);
    if (const std::optional<std::string> local = variable_(launcher.local_rank))
      seat_.local_rank = number(launcher.local_rank, *local, 0, seat_.world - 1);
    else if (seat_.world > 1 && flags_.local_rank.empty())
      throw DeviceError(fmt::format("{} is set, but {} is not{}; set it, or give --local-rank",
                                    launcher.rank, launcher.local_rank, kOfLocalRank));
  }

  template <class Wrong = DeviceError>
  void take_master(const std::string& complaint) {
    if (master_)
      seat_.leader = master_->host;
    else
      seat_.leader = variable_("MASTER_ADDR").value_or("");
    if (seat_.leader.empty() && seat_.world > 1)
      throw Wrong(complaint);
  }

  std::optional<std::uint16_t> told_port() const {
    if (master_ && master_->port)
      return static_cast<std::uint16_t>(*master_->port);
    const std::optional<std::string> agent = variable_("MASTER_PORT");
    if (!agent)
      return std::nullopt;
    // The next one has to be a port, too.
    return static_cast<std::uint16_t>(number("MASTER_PORT", *agent, 1, kMostPort - 1) + 1);
  }

  std::uint16_t port_of_job() const {
    if (master_ && master_->port)
      return static_cast<std::uint16_t>(*master_->port);
    return static_cast<std::uint16_t>(20'000 + mixed_hash(seat_.job) % 12'000);
  }

  const SeatFlags& flags_;
  const Environment& variable_;
  std::optional<HostAndPort> master_;
  Seat seat_;
};

}  // namespace

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* const value = std::getenv(std::string(name).c_str());
    if (value == nullptr || *value == '\0')
      return std::nullopt;
    return value;
  };
}

Seat find_seat(const SeatFlags& flags, const Environment& environment) {
  return SeatSearch(flags, environment).run();
}

}  // namespace bubblescope

// Which of the processes that a launcher has started this one is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bubblescope {

/// The variable of the environment with a secret that the processes of a job may share.
constexpr const char* kSecretVariable = "BUBBLESCOPE_TOKEN";

/// Where a process sits in its job.
struct Seat {
  int rank = 0;
  int world = 1;           ///< Processes of the job.
  int local_rank = 0;      ///< Among those of its host: the number of its GPU.
  std::string leader;      ///< A name or an address of rank 0's host.
  std::uint16_t port = 0;  ///< On which rank 0 listens.
  std::string job;         ///< What tells this job from others, so that strangers are turned away.
  std::string told_by;     ///< "torchrun", "Slurm", …: for messages.
  std::string secret;      ///< BUBBLESCOPE_TOKEN, which the processes of a job may share.
};

/// What the user says; empty where nothing is.
struct SeatFlags {
  std::string rank = {}, world_size = {}, local_rank = {};
  std::string master = {};  ///< HOST or HOST:PORT; [ADDRESS]:PORT of IPv6.
};

/// What is wrong with them: no value of theirs, or one that lacks another.
class SeatFlagError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The value of a variable, if it is set and not empty.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
/// That of this process.
Environment process_environment();

/// The first of these that tells rank and size: flags; torchrun (RANK, WORLD_SIZE, LOCAL_RANK,
/// MASTER_ADDR, MASTER_PORT); Slurm (SLURM_PROCID, SLURM_STEP_NUM_TASKS or SLURM_NTASKS,
/// SLURM_LOCALID, the node list), but for what an mpirun within a Slurm job has started, which
/// inherits Slurm's variables of another process; Open MPI (OMPI_COMM_WORLD_…); MPICH, PALS and
/// other launchers with PMI (PMI_RANK, PMI_SIZE); else a single process. --master and --local-rank
/// go before what a launcher says. The port is that of --master; else, but for Slurm, the one after
/// MASTER_PORT, which may be taken by torchrun itself; else a number made of the job's, in 20000 …
/// 31999, below those that systems give to clients. Throws DeviceError that names the variable
/// which is missing or wrong, SeatFlagError of a flag.
Seat find_seat(const SeatFlags& flags, const Environment& environment);

/// "gpu[01-03,7],login" is gpu01, gpu02, gpu03, gpu7, login: what Slurm calls a host list. Throws
/// DeviceError.
std::vector<std::string> expand_host_list(std::string_view list);

}  // namespace bubblescope

// Who a process is, from the variables that launchers set. Those here are what Open MPI 4.1.4,
// MPICH 4.0.2 and Slurm 22.05.8 of Debian 12 were seen to set, and what torchrun's agent
// (local_elastic_agent.py) and PALS are documented to.
#include "backend_cuda/cluster/seat.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "backend_cuda/replay/executor.h"

namespace bubblescope {
namespace {

using Variables = std::map<std::string, std::string>;

const Variables kTorchrun = {{"RANK", "5"},
                             {"WORLD_SIZE", "8"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "4"},
                             {"GROUP_RANK", "1"},
                             {"MASTER_ADDR", "node-a.example"},
                             {"MASTER_PORT", "29500"},
                             {"TORCHELASTIC_RUN_ID", "none"},
                             {"TORCHELASTIC_RESTART_COUNT", "0"}};
/// Of `srun -N2 -n4`.
const Variables kSlurm = {{"SLURM_PROCID", "3"},
                          {"SLURM_NTASKS", "4"},
                          {"SLURM_STEP_NUM_TASKS", "4"},
                          {"SLURM_LOCALID", "1"},
                          {"SLURM_JOB_ID", "4711"},
                          {"SLURM_STEP_ID", "0"},
                          {"SLURM_STEP_NODELIST", "n[1-2]"},
                          {"SLURM_JOB_NODELIST", "n[1-4]"}};
/// Of the script that `sbatch -N2 -n4` runs.
const Variables kBatchScript = {{"SLURM_PROCID", "0"},
                                {"SLURM_NTASKS", "4"},
                                {"SLURM_LOCALID", "0"},
                                {"SLURM_JOB_ID", "4711"},
                                {"SLURM_JOB_NODELIST", "n[1-2]"}};
const Variables kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                            {"OMPI_COMM_WORLD_SIZE", "2"},
                            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                            {"PMIX_RANK", "1"},
                            {"PMIX_NAMESPACE", "1928658945"}};
const Variables kHydra = {{"PMI_RANK", "1"},
                          {"PMI_SIZE", "2"},
                          {"MPI_LOCALRANKID", "1"},
                          {"MPI_LOCALNRANKS", "2"},
                          {"PMI_FD", "8"}};
const Variables kPals = {{"PMI_RANK", "1"},       {"PMI_SIZE", "2"},       {"PMI_LOCAL_RANK", "1"},
                         {"PMI_LOCAL_SIZE", "2"}, {"PALS_APID", "6f1c-0"}, {"PBS_JOBID", "17.pbs"}};

Variables with(Variables variables, const Variables& others) {
  for (const auto& [name, value] : others)
    variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  REQUIRE(variables.erase(name) == 1);
  return variables;
}

Seat seat_of(const Variables& variables, const SeatFlags& flags = {}) {
  return find_seat(flags, [&](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(std::string(name));
    if (found == variables.end() || found->second.empty())
      return std::nullopt;
    return found->second;
  });
}

/// What is told where no seat is found.
template <class Wrong = DeviceError>
std::string complaint_of(const Variables& variables, const SeatFlags& flags = {}) {
  try {
    const Seat seat = seat_of(variables, flags);
    return fmt::format("rank {} of {} by {}", seat.rank, seat.world, seat.told_by);
  } catch (const Wrong& error) {
    return error.what();
  }
}

void check_says(const std::string& text, const std::vector<std::string>& parts) {
  CAPTURE(text);
  for (const std::string& part : parts)
    CHECK_MESSAGE(text.find(part) != std::string::npos, "does not say: " << part);
}

}  // namespace

TEST_CASE("a process that nothing tells of others is a single one") {
  const Seat seat = seat_of({});
  CHECK(seat.rank == 0);
  CHECK(seat.world == 1);
  CHECK(seat.local_rank == 0);
  CHECK(seat.told_by == "a single process");
  CHECK(seat_of({}, {.local_rank = "3"}).local_rank == 3);
  check_says(complaint_of<SeatFlagError>({}, {.master = "gpu7"}),
             {"--master", "--rank and --world-size"});
}

TEST_CASE("the shell of an allocation is none of its processes") {
  const Variables shell = {{"SLURM_JOB_ID", "4711"}, {"SLURM_NTASKS", "16"}};
  check_says(complaint_of(shell), {"SLURM_NTASKS = 16", "the batch script or a shell", "srun"});
  CHECK(seat_of(with(shell, {{"SLURM_NTASKS", "1"}})).world == 1);
  CHECK(seat_of(shell, {.rank = "0", .world_size = "1", .local_rank = "0"}).told_by ==
        "the options");
}

TEST_CASE("flags go before all launchers") {
  const SeatFlags flags = {
      .rank = "2", .world_size = "3", .local_rank = "1", .master = "gpu7:4000"};
  for (const Variables& variables : {Variables{}, kTorchrun, kSlurm, kOpenMpi, kHydra, kPals}) {
    const Seat seat = seat_of(variables, flags);
    CHECK(seat.rank == 2);
    CHECK(seat.world == 3);
    CHECK(seat.local_rank == 1);
    CHECK(seat.leader == "gpu7");
    CHECK(seat.port == 4000);
    CHECK(seat.told_by == "the options");
  }
  CHECK(seat_of({}, {.rank = "0", .world_size = "1"}).world == 1);
}

TEST_CASE("flags that tell too little or a wrong number are told by their names") {
  const auto complaint = [](const SeatFlags& flags) {
    return complaint_of<SeatFlagError>({}, flags);
  };
  check_says(complaint({.rank = "1"}), {"--rank is given without --world-size"});
  check_says(complaint({.world_size = "2"}), {"--world-size is given without --rank"});
  check_says(complaint({.rank = "0", .world_size = "2"}), {"--local-rank"});
  check_says(complaint({.rank = "0", .world_size = "2", .local_rank = "0"}), {"--master"});
  check_says(complaint({.rank = "2", .world_size = "2", .local_rank = "0"}),
             {"--rank is '2'", "from 0 to 1"});
  for (const std::string bad :
       {"-1", "0", "x", "2x", " 2", "2 ", "+2", "1048577", "1e3", "0x2", "99999999999999999999"})
    check_says(complaint({.rank = "0", .world_size = bad, .local_rank = "0"}), {"--world-size"});
  check_says(complaint({.rank = "0", .world_size = "2", .local_rank = "-1", .master = "gpu7"}),
             {"--local-rank is '-1'"});
}

TEST_CASE("--master is a host or an address, with a port or without") {
  const auto leader = [](const std::string& master) {
    const Seat seat =
        seat_of({}, {.rank = "0", .world_size = "2", .local_rank = "0", .master = master});
    return fmt::format("{} {}", seat.leader, seat.port);
  };
  CHECK(leader("gpu7") == "gpu7 29501");
  CHECK(leader("gpu7:4000") == "gpu7 4000");
  CHECK(leader("10.0.0.1:65535") == "10.0.0.1 65535");
  CHECK(leader("::1") == "::1 29501");
  CHECK(leader("fe80::1%eth0") == "fe80::1%eth0 29501");
  CHECK(leader("[::1]") == "::1 29501");
  CHECK(leader("[2001:db8::7]:4000") == "2001:db8::7 4000");
  for (const std::string bad : {"gpu7:", ":4000", "[::1", "[]:4000", "[::1]4000", "[::1]:",
                                "gpu7:0", "gpu7:65536", "gpu7:x", "gpu7:40 00", "gpu7:-1"})
    check_says(complaint_of<SeatFlagError>({}, {.rank = "0", .world_size = "2", .master = bad}),
               {"--master"});
}

TEST_CASE("torchrun tells all, and the port after its own is ours") {
  const Seat seat = seat_of(kTorchrun);
  CHECK(seat.rank == 5);
  CHECK(seat.world == 8);
  CHECK(seat.local_rank == 1);
  CHECK(seat.leader == "node-a.example");
  CHECK(seat.port == 29501);
  CHECK(seat.told_by == "torchrun");
  CHECK(seat_of(kTorchrun, {.local_rank = "0"}).local_rank == 0);
  const Seat elsewhere = seat_of(kTorchrun, {.master = "[::1]:4000"});
  CHECK(elsewhere.leader == "::1");
  CHECK(elsewhere.port == 4000);
  CHECK(seat_of(kTorchrun, {.master = "gpu7"}).port == 29501);
  CHECK(seat_of(without(kTorchrun, "MASTER_PORT")).port == 29501);
  // torchrun within a Slurm job or an mpirun of its agents.
  for (const Variables& outer : {kSlurm, kOpenMpi, kHydra})
    CHECK(seat_of(with(outer, kTorchrun)).told_by == "torchrun");
}

TEST_CASE("a job of torchrun that has begun anew is another job") {
  const std::string job = seat_of(kTorchrun).job;
  CHECK(seat_of(with(kTorchrun, {{"RANK", "0"}, {"LOCAL_RANK", "0"}})).job == job);
  CHECK(seat_of(with(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "1"}})).job != job);
  CHECK(seat_of(with(kTorchrun, {{"TORCHELASTIC_RUN_ID", "other"}})).job != job);
}

TEST_CASE("what torchrun or a PyTorchJob does not tell is named") {
  check_says(complaint_of(without(kTorchrun, "MASTER_ADDR")), {"MASTER_ADDR", "--master"});
  check_says(complaint_of(without(kTorchrun, "LOCAL_RANK")), {"LOCAL_RANK is not", "--local-rank"});
  CHECK(seat_of(without(kTorchrun, "LOCAL_RANK"), {.local_rank = "0"}).rank == 5);
  check_says(complaint_of(without(kTorchrun, "WORLD_SIZE")), {"RANK is set, but WORLD_SIZE"});
  check_says(complaint_of(with(kTorchrun, {{"RANK", "8"}})), {"RANK is '8'", "from 0 to 7"});
  check_says(complaint_of(with(kTorchrun, {{"WORLD_SIZE", "many"}})), {"WORLD_SIZE is 'many'"});
  check_says(complaint_of(with(kTorchrun, {{"LOCAL_RANK", "-1"}})), {"LOCAL_RANK is '-1'"});
  for (const std::string port : {"65535", "0", "http"})
    check_says(complaint_of(with(kTorchrun, {{"MASTER_PORT", port}})), {"MASTER_PORT"});
}

TEST_CASE("srun tells all, and rank 0 is on the first host of its step") {
  const Seat seat = seat_of(kSlurm);
  CHECK(seat.rank == 3);
  CHECK(seat.world == 4);
  CHECK(seat.local_rank == 1);
  CHECK(seat.leader == "n1");
  CHECK(seat.told_by == "Slurm");
  CHECK(seat_of(with(kSlurm, {{"SLURM_STEP_NODELIST", "n[3-4]"}})).leader == "n3");
  CHECK(seat_of(without(kSlurm, "SLURM_STEP_NODELIST")).leader == "n1");
  CHECK(seat_of(kSlurm, {.master = "gpu7:4000"}).leader == "gpu7");
  CHECK(seat_of(kSlurm, {.master = "gpu7:4000"}).port == 4000);
  // The plugin of PMI-2 adds its own variables.
  CHECK(seat_of(with(kSlurm, {{"PMI_RANK", "3"}, {"PMI_SIZE", "4"}})).told_by == "Slurm");
}

TEST_CASE("a step of Slurm counts its own tasks, not those of the job") {
  // srun --preserve-env -n1 within a job of four tasks
  const Variables one =
      with(kSlurm, {{"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}});
  CHECK(seat_of(one).world == 1);
  CHECK(seat_of(without(kSlurm, "SLURM_NTASKS")).world == 4);
  CHECK(seat_of(without(kSlurm, "SLURM_STEP_NUM_TASKS")).world == 4);
}

TEST_CASE("steps of one Slurm job are jobs of their own, with ports of their own") {
  const Seat first = seat_of(kSlurm);
  const Seat second = seat_of(with(kSlurm, {{"SLURM_STEP_ID", "1"}}));
  CHECK(first.job != second.job);
  CHECK(first.port != second.port);
  const Variables leader = with(kSlurm, {{"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}});
  CHECK(seat_of(leader).job == first.job);
  CHECK(seat_of(leader).port == first.port);
}

TEST_CASE("a batch script or a shell of Slurm is not one of several processes") {
  check_says(complaint_of(kBatchScript), {"SLURM_NTASKS = 4", "batch script", "srun"});
  // salloc with an interactive step, which is numbered from the end
  const Variables interactive =
      with(kSlurm, {{"SLURM_STEP_ID", "4294967290"}, {"SLURM_STEP_NUM_TASKS", "1"}});
  check_says(complaint_of(interactive), {"SLURM_NTASKS = 4", "shell"});
  // sbatch without -n sets no SLURM_NTASKS
  const Seat alone = seat_of(without(kBatchScript, "SLURM_NTASKS"));
  CHECK(alone.world == 1);
  CHECK(alone.told_by == "Slurm");
  CHECK(seat_of(with(kBatchScript, {{"SLURM_NTASKS", "1"}})).world == 1);
  CHECK(seat_of(kBatchScript, {.rank = "0", .world_size = "1"}).world == 1);
}

TEST_CASE("what Slurm does not tell is named") {
  check_says(complaint_of(without(kSlurm, "SLURM_JOB_ID")), {"SLURM_JOB_ID is not set"});
  check_says(complaint_of(without(kSlurm, "SLURM_LOCALID")), {"SLURM_LOCALID is not"});
  check_says(complaint_of(without(without(kSlurm, "SLURM_STEP_NODELIST"), "SLURM_JOB_NODELIST")),
             {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "--master"});
  check_says(complaint_of(without(without(kSlurm, "SLURM_NTASKS"), "SLURM_STEP_NUM_TASKS")),
             {"SLURM_PROCID is set, but SLURM_NTASKS is not"});
  check_says(complaint_of(with(kSlurm, {{"SLURM_PROCID", "4"}})), {"SLURM_PROCID is '4'"});
  check_says(complaint_of(with(kSlurm, {{"SLURM_STEP_ID", "first"}})),
             {"SLURM_STEP_ID is 'first'"});
  check_says(complaint_of(with(kSlurm, {{"SLURM_STEP_NODELIST", "n[1-"}})), {"'n[1-'"});
}

TEST_CASE("mpirun within a Slurm job is asked, not the script that started it") {
  CHECK(seat_of(with(kBatchScript, kOpenMpi)).told_by == "Open MPI");
  CHECK(seat_of(with(kSlurm, kOpenMpi)).told_by == "Open MPI");
  const Seat hydra = seat_of(with(kBatchScript, kHydra));
  CHECK(hydra.told_by == "PMI");
  CHECK(hydra.job.find("4711") != std::string::npos);
}

TEST_CASE("launchers of MPI tell of one host, and of several where MASTER_ADDR is given") {
  for (const auto& [variables, name] :
       {std::pair{kOpenMpi, "Open MPI"}, std::pair{kHydra, "PMI"}, std::pair{kPals, "PALS"}}) {
    CAPTURE(name);
    const Seat here = seat_of(variables);
    CHECK(here.rank == 1);
    CHECK(here.world == 2);
    CHECK(here.local_rank == 1);
    CHECK(here.leader == "127.0.0.1");
    CHECK(here.told_by == name);
    Variables apart = variables;
    for (const char* size : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"})
      if (apart.contains(size))
        apart[size] = "1";
    check_says(complaint_of(apart), {name, "several hosts", "MASTER_ADDR", "--master"});
    CHECK(seat_of(with(apart, {{"MASTER_ADDR", "n1"}})).leader == "n1");
    CHECK(seat_of(with(apart, {{"MASTER_ADDR", "n1"}, {"MASTER_PORT", "4000"}})).port == 4001);
    CHECK(seat_of(apart, {.master = "n1:4000"}).port == 4000);
    CHECK(seat_of(apart, {.master = "n1"}).port == here.port);
  }
  CHECK(seat_of({{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}).world == 1);
}

TEST_CASE("what launchers of MPI do not tell is named") {
  check_says(complaint_of(without(kOpenMpi, "OMPI_COMM_WORLD_SIZE")),
             {"OMPI_COMM_WORLD_RANK is set, but OMPI_COMM_WORLD_SIZE is not"});
  check_says(complaint_of(without(kOpenMpi, "OMPI_COMM_WORLD_LOCAL_RANK")),
             {"OMPI_COMM_WORLD_LOCAL_RANK is not", "--local-rank"});
  check_says(complaint_of(without(kOpenMpi, "OMPI_COMM_WORLD_LOCAL_SIZE")),
             {"OMPI_COMM_WORLD_LOCAL_SIZE is not set", "--master"});
  check_says(complaint_of(with(kOpenMpi, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}})),
             {"OMPI_COMM_WORLD_LOCAL_SIZE is '3'"});
  check_says(complaint_of(with(kOpenMpi, {{"OMPI_COMM_WORLD_RANK", "2"}})),
             {"OMPI_COMM_WORLD_RANK is '2'", "from 0 to 1"});
  check_says(complaint_of(without(kHydra, "PMI_SIZE")), {"PMI_RANK is set, but PMI_SIZE is not"});
  check_says(complaint_of(without(kHydra, "MPI_LOCALRANKID")), {"MPI_LOCALRANKID is not"});
  check_says(complaint_of({{"PMIX_RANK", "1"}}), {"PMIX_RANK", "--world-size"});
}

TEST_CASE("the port of a job is below those of clients, and the same in all its processes") {
  int ports_that_differ = 0;
  for (int job = 0; job < 2'000; ++job) {
    const Variables first = with(kOpenMpi, {{"PMIX_NAMESPACE", std::to_string(job)}});
    const Seat seat = seat_of(first);
    const Seat other =
        seat_of(with(first, {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}}));
    REQUIRE(seat.port >= 20'000);
    REQUIRE(seat.port <= 31'999);
    REQUIRE(seat.port == other.port);
    REQUIRE(seat.job == other.job);
    ports_that_differ += seat.port != seat_of(kOpenMpi).port ? 1 : 0;
  }
  CHECK(ports_that_differ > 1'990);
}

TEST_CASE("the secret comes with every seat") {
  for (const Variables& variables : {Variables{}, kTorchrun, kSlurm, kOpenMpi, kHydra, kPals})
    CHECK(seat_of(with(variables, {{kSecretVariable, "s3cret"}})).secret == "s3cret");
  CHECK(seat_of(kSlurm).secret.empty());
}

TEST_CASE("host lists expand as Slurm writes them") {
  using Hosts = std::vector<std::string>;
  CHECK(expand_host_list("gpu7") == Hosts{"gpu7"});
  CHECK(expand_host_list("n[1-2]") == Hosts{"n1", "n2"});
  CHECK(expand_host_list("gpu[01-03,7],login") ==
        Hosts{"gpu01", "gpu02", "gpu03", "gpu7", "login"});
  CHECK(expand_host_list("n[098-101]") == Hosts{"n098", "n099", "n100", "n101"});
  CHECK(expand_host_list("n[9-11]") == Hosts{"n9", "n10", "n11"});
  CHECK(expand_host_list("r[1-2]n[3,5-6]-ib") ==
        Hosts{"r1n3-ib", "r1n5-ib", "r1n6-ib", "r2n3-ib", "r2n5-ib", "r2n6-ib"});
  CHECK(expand_host_list("a.b-c_d.example,[4-5]") == Hosts{"a.b-c_d.example", "4", "5"});
  CHECK(expand_host_list("n[7]") == Hosts{"n7"});
  const Hosts many = expand_host_list("n[00001-50000],m[1-50000]");
  CHECK(many.size() == 100'000);
  CHECK(many.front() == "n00001");
  CHECK(many.back() == "m50000");
}

TEST_CASE("bad host lists are told with the place, and never take memory") {
  for (const std::string bad : {"",
                                ",",
                                "a,,b",
                                "a,",
                                "n[",
                                "n[]",
                                "n[1",
                                "n[1-",
                                "n[1-]",
                                "n[-2]",
                                "n[2-1]",
                                "n[1,]",
                                "n[1;2]",
                                "n[a-b]",
                                "n[1-2",
                                "n]1[",
                                "n[1-2]]",
                                "n 1",
                                "n[[1]]",
                                "n[1-100001]",
                                "n[1-99999]m[1-99999]",
                                "n[0-99999],m",
                                "n[1-1234567890123]",
                                "n\x1b[1m"})
    CHECK_THROWS_WITH_AS_MESSAGE(expand_host_list(bad), doctest::Contains("at letter"), DeviceError,
                                 bad);
}

}  // namespace bubblescope

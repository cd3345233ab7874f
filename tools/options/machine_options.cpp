#include "tools/options/machine_options.h"

#include <chrono>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/base/nearest.h"
#include "tools/errors.h"
#include "tools/options/units.h"

namespace bubblescope {
namespace {

const std::vector<std::pair<std::string, Backend>> kBackends = {
    {"host", Backend::Host}, {"cuda", Backend::Cuda}, {"nccl", Backend::Nccl}};
constexpr int kMostCounted = 1 << 24;

std::chrono::milliseconds read_timeout(const std::string& word) {
  using std::chrono::milliseconds;
  const auto time = std::chrono::duration_cast<milliseconds>(read_time(word));
  if (time < milliseconds(1))
    throw UsageError("expected 1ms or more");
  return time;
}

}  // namespace

std::string_view to_string(Backend backend) {
  return kBackends[static_cast<std::size_t>(backend)].first;
}

void MachineOptions::add_to(CLI::App& app) {
  const char* group = "Machine";
  add_option(app,
             {"--backend", "WHICH",
              "host: a thread for each stream of each rank (default); cuda: GPUs of this machine; "
              "nccl: a process for each GPU, which mpirun, srun or torchrun start",
              group},
             backend, one_of(kBackends));
  profiled.add(add_flag(
      app,
      {"--real-time", "",
       "host: actions last in real time; else on a virtual clock that follows the costs: it proves "
       "order and messages, and measures nothing",
       group},
      real_time));
  profiled.add(add_option(
      app,
      {"--workload", "WHAT",
       "timed: an action lasts as long as its costs say (default); tensors: a small model is "
       "trained, and checked against an unpipelined run",
       group},
      workload, one_of<Workload>({{"timed", Workload::Timed}, {"tensors", Workload::Tensors}})));
  add_tensors_to(app);
  profiled.add(
      add_option(app,
                 {"--launch", "HOW",
                  "cuda: graph, a step at once (default); streams, kernel by kernel", group},
                 launch, one_of<Launch>({{"graph", Launch::Graph}, {"streams", Launch::Streams}})));
  profiled.add(
      add_flag(app, {"--no-partitions", "", "cuda, tensors: all ranks share all of the GPU", group},
               no_partitions));
  add_option(app,
             {"--timeout", "TIME",
              "a step in which nothing ends for so long is aborted (default: 30s)", group},
             timeout, read_timeout);
  add_cluster_options_to(app);
}

void MachineOptions::add_tensors_to(CLI::App& app) {
  const auto add = [&](const char* name, const char* help, auto& value, auto read) {
    tensors.add(add_option(app, {name, "N", help, "Machine"}, value, read));
  };
  const auto count = count_from(1, kMostCounted);
  add("--tokens", "tensors: rows of a micro-batch (default: 8)", shape.tokens, count);
  add("--hidden", "tensors: columns of an activation (default: 16)", shape.hidden, count);
  add("--inner", "tensors: columns inside a block (default: 32)", shape.inner, count);
  add("--blocks", "tensors: blocks of a rank, shared by its stages (default: 2)", shape.blocks,
      count);
  profiled.add(tensors);
  add("--seed", "tensors: of weights and data (default: 1)", shape.seed,
      count_from<std::uint64_t>(0, std::numeric_limits<std::int64_t>::max()));
}

void MachineOptions::add_cluster_options_to(CLI::App& app) {
  const auto add = [&](const char* name, const char* word, const char* help, auto& value,
                       auto... read) {
    CLI::Option* option =
        add_option(app, {name, word, help, "Cluster (--backend nccl)"}, value, read...);
    of_cluster.add(option);
    return option;
  };
  SeatFlags& seat = cluster.seat;
  add("--rank", "N", "of this process (default: as torchrun, srun or mpirun say)", seat.rank);
  add("--world-size", "N", "processes, p or a multiple of it (default: the same)", seat.world_size);
  add("--local-rank", "N", "which GPU of its host it takes (default: the same)", seat.local_rank);
  add("--master", "HOST[:PORT]",
      "where rank 0 is, and on which port it listens (default: the same)", seat.master);
  add("--meet-timeout", "TIME", "for all processes to come together (default: 60s)",
      cluster.meet_timeout, read_timeout);
  constexpr int kMostCtas = 32;  // that NCCL takes
  profiled.add(add("--max-ctas", "N",
                   "that NCCL may use for each communicator (default: NCCL's own choice)", max_ctas,
                   count_from(1, kMostCtas)));
}

void MachineOptions::add_replay_options_to(CLI::App& app) {
  const char* group = "Machine";
  add_option(
      app, {"--repeats", "N", "steps that are measured (default: 5, on a virtual clock 1)", group},
      repeats, count_from(1, kMostCounted));
  add_option(app,
             {"--warm-ups", "N", "steps before them (default: 1, on a virtual clock 0)", group},
             warm_ups, count_from(0, kMostCounted));
  CLI::Option* option = add_option(
      app,
      {"--profile", "FILE",
       "what 'bubblescope calibrate' measured: the prediction takes the machine's gaps from it "
       "and, with tensors, its costs; it fixes backend and workload, too",
       group},
      profile);
  for (const CLI::Option* other : profiled.options())
    option->excludes(app.get_option("--" + other->get_lnames().front()));
  add_flag(app,
           {"--no-check", "",
            "replay a --program though it deadlocks or crosses messages, until that shows", group},
           no_check);
  add_flag(app,
           {"--cross-check", "",
            "cuda: hold the times that kernels note against those of NVIDIA's CUPTI, which slows "
            "launches; what differs stands beside the machine",
            group},
           cross_check);
  add_option(app,
             {"--inject", "FAULT",
              "to test the watchdog: hang:RANK:ACTION (it never ends) or fail:RANK:ACTION, such as "
              "hang:1:1F2",
              group},
             inject);
}

void MachineOptions::choose_machine(MachineChoice& choice) const {
  choice.backend = backend.value_or(Backend::Host);
  ExecutorOptions& executor = choice.executor;
  executor.workload = workload.value_or(executor.workload);
  executor.real_time = real_time;
  executor.partitions = !no_partitions;
  executor.launch = launch.value_or(executor.launch);
  executor.shape = shape;
  const auto refuse = [](bool is_given, const std::string& option, const char* needs) {
    if (is_given)
      throw UsageError(fmt::format("{} is for {}", option, needs), {option});
  };
  const bool is_cuda = choice.backend == Backend::Cuda;
  refuse(real_time && choice.backend != Backend::Host, "--real-time", "--backend host");
  refuse(launch.has_value() && !is_cuda, "--launch", "--backend cuda");
  refuse(no_partitions && !(is_cuda && choice.has_tensors()), "--no-partitions",
         "--backend cuda --workload tensors");
  refuse(tensors.is_given() && !choice.has_tensors(), tensors.first_given(), "--workload tensors");
}

void MachineOptions::take_profile(MachineChoice& choice) const {
  choice.profile = read_profile(profile);
  choice.backend = one_of(kBackends)(choice.profile->backend);
  if (backend && *backend != choice.backend)
    throw UsageError(fmt::format("--backend {}: the profile was measured with {}",
                                 to_string(*backend), choice.profile->backend),
                     {"--backend"});
  choice.executor = choice.profile->options;
  if (tensors.is_given("--seed") && !choice.has_tensors())
    throw UsageError("--seed is for --workload tensors, and the profile is of timed work",
                     {"--seed"});
  choice.executor.shape.seed = shape.seed;
}

MachineChoice MachineOptions::choice() const {
  MachineChoice choice{.cluster = cluster, .injection = inject, .is_checked = !no_check};
  if (profile.empty())
    choose_machine(choice);
  else
    take_profile(choice);
  const bool is_cluster = choice.backend == Backend::Nccl;
  if (of_cluster.is_given() && !is_cluster)
    throw UsageError(fmt::format("{} is for --backend nccl", of_cluster.first_given()),
                     {of_cluster.first_given()});
  constexpr std::chrono::milliseconds kFaultGrace{500};
  if (is_cluster)
    choice.replay.fault_grace = kFaultGrace;
  if (max_ctas > 0)
    choice.executor.max_ctas = max_ctas;
  const bool is_exact = choice.has_virtual_clock();
  choice.replay.repeats = repeats.value_or(is_exact ? 1 : 5);
  choice.replay.warm_ups = warm_ups.value_or(is_exact ? 0 : 1);
  if (cross_check && choice.backend != Backend::Cuda)
    throw UsageError("--cross-check is for --backend cuda", {"--cross-check"});
  choice.executor.cross_check = cross_check;
  choice.replay.timeout = timeout;
  return choice;
}

ExecutorOptions MachineChoice::executor_for(int chunks) const {
  ExecutorOptions options = executor;
  if (!has_tensors())
    return options;
  if (options.shape.blocks % chunks != 0)
    throw UsageError(fmt::format("--blocks {}: a rank's {} stages cannot share them evenly",
                                 options.shape.blocks, chunks),
                     {"--blocks"});
  options.shape.blocks /= chunks;
  return options;
}

Injection parse_injection(const std::string& text, const Schedule& schedule) {
  const auto fail = [&](const std::string& what) {
    throw UsageError(fmt::format("--inject {}: {}", text.substr(0, 40), what), {"--inject"});
  };
  const std::size_t first = text.find(':');
  const std::size_t second = text.find(':', first + 1);
  if (first == text.npos || second == text.npos)
    fail("expected hang:RANK:ACTION or fail:RANK:ACTION, such as hang:1:1F2");
  const std::string wanted = text.substr(second + 1);
  Injection::Kind kind{};
  std::size_t rank = 0;
  try {
    kind = one_of<Injection::Kind>(
        {{"hang", Injection::Kind::Hang}, {"fail", Injection::Kind::Fail}})(text.substr(0, first));
    rank = count_from<std::size_t>(
        0, schedule.placement.ranks - 1)(text.substr(first + 1, second - first - 1));
  } catch (const UsageError& error) {
    fail(error.what());
  }
  std::vector<std::string> names;
  for (std::size_t i = schedule.first_action[rank]; i < schedule.first_action[rank + 1]; ++i) {
    const Action& action = schedule.actions[i];
    if (wanted == to_string(action) || wanted == to_string(action.op()) ||
        wanted == to_string(action.overlapped()))
      return {kind, i};
    names.push_back(to_string(action));
  }
  fail(fmt::format("rank {} has no action '{}'{}", rank, wanted.substr(0, 40),
                   did_you_mean(wanted, names)));
  return {};
}

}  // namespace bubblescope

#include "tools/options/machine_options.h"

#include <chrono>
#include <limits>

#include <fmt/format.h>

#include "sim/base/nearest.h"
#include "tools/errors.h"
#include "tools/options/units.h"

namespace bubblescope {
namespace {

const std::vector<std::string> kBackends = {"host", "cuda", "nccl"};
const std::vector<std::string> kWorkloads = {"timed", "tensors"};
const std::vector<std::string> kLaunches = {"graph", "streams"};
constexpr Range kCount = {1, 1 << 24};

/// `otherwise` where nothing is given.
int count(const char* option, const std::string& given, int otherwise, std::int64_t least = 1) {
  return given.empty() ? otherwise
                       : static_cast<int>(parse_count({option, given}, {least, kCount.most}));
}

/// For something to happen.
std::chrono::milliseconds patience(const char* option, const std::string& given) {
  using std::chrono::milliseconds;
  const auto time = std::chrono::duration_cast<milliseconds>(parse_time({option, given}));
  if (time < milliseconds(1))
    throw UsageError(fmt::format("{}: expected 1ms or more", option));
  return time;
}

void add_flag(CLI::App& app, const OptionText& text, bool& value) {
  CLI::Option* option = app.add_flag(text.names, value, text.help);
  option->envname(environment_name(option->get_lnames().front()))->group(text.group);
}

}  // namespace

std::string_view to_string(Backend backend) {
  return kBackends[static_cast<std::size_t>(backend)];
}

void MachineOptions::add_to(CLI::App& app) {
  const auto add = [&](const char* name, const char* word, const char* help, std::string& value) {
    add_option(app, {name, word, help, "Machine"}, value);
  };
  add("--backend", "WHICH",
      "host: a thread for each stream of each rank (default); cuda: GPUs of this machine; nccl: a "
      "process for each GPU, which mpirun, srun or torchrun start",
      backend);
  add_flag(app,
           {"--real-time", "",
            "host: actions last in real time; else on a virtual clock that follows the costs: it "
            "proves order and messages, and measures nothing",
            "Machine"},
           real_time);
  add("--workload", "WHAT",
      "timed: an action lasts as long as its costs say (default); tensors: a small model is "
      "trained, and checked against an unpipelined run",
      workload);
  add("--tokens", "N", "tensors: rows of a micro-batch (default: 8)", tokens);
  add("--hidden", "N", "tensors: columns of an activation (default: 16)", hidden);
  add("--inner", "N", "tensors: columns inside a block (default: 32)", inner);
  add("--blocks", "N", "tensors: blocks of a rank, shared by its stages (default: 2)", blocks);
  add("--seed", "N", "tensors: of weights and data (default: 1)", seed);
  add("--launch", "HOW", "cuda: graph, a step at once (default); streams, kernel by kernel",
      launch);
  add_flag(app, {"--no-partitions", "", "cuda, tensors: all ranks share all of the GPU", "Machine"},
           no_partitions);
  add("--timeout", "TIME", "a step in which nothing ends for so long is aborted (default: 30s)",
      timeout);
  add_cluster_options_to(app);
}

void MachineOptions::add_cluster_options_to(CLI::App& app) {
  const auto add = [&](const char* name, const char* word, const char* help, std::string& value) {
    add_option(app, {name, word, help, "Cluster (--backend nccl)"}, value);
  };
  add("--rank", "N", "of this process (default: as torchrun, srun or mpirun tell)", seat.rank);
  add("--world-size", "N", "processes, p or a multiple of it (default: the same)", seat.world_size);
  add("--local-rank", "N", "which GPU of its host it takes (default: the same)", seat.local_rank);
  add("--master", "HOST[:PORT]",
      "where rank 0 is, and on which port it listens (default: the same)", seat.master);
  add("--meet-timeout", "TIME", "for all processes to come together (default: 60s)", meet_timeout);
  add("--max-ctas", "N", "that NCCL may use for each communicator (default: as it likes)",
      max_ctas);
}

void MachineOptions::add_replay_options_to(CLI::App& app) {
  add_option(
      app,
      {"--repeats", "N", "steps that are measured (default: 5, on a virtual clock 1)", "Machine"},
      repeats);
  add_option(app,
             {"--warm-ups", "N", "steps before them (default: 1, on a virtual clock 0)", "Machine"},
             warm_ups);
  add_option(app,
             {"--profile", "FILE",
              "what 'bubblescope calibrate' measured: the prediction takes the machine's gaps from "
              "it and, with tensors, its costs; it tells backend and workload, too",
              "Machine"},
             profile);
  add_flag(
      app,
      {"--no-check", "",
       "replay a --program though it deadlocks or crosses messages, until that shows", "Machine"},
      no_check);
  add_flag(app,
           {"--cross-check", "",
            "cuda: hold the times that kernels note against those of NVIDIA's CUPTI, which slows "
            "launches; what differs stands beside the machine",
            "Machine"},
           cross_check);
  add_option(app,
             {"--inject", "FAULT",
              "to test the watchdog: hang:RANK:ACTION (it never ends) or fail:RANK:ACTION, such as "
              "hang:1:1F2",
              "Machine"},
             inject);
}

TensorShape MachineOptions::tensor_shape() const {
  TensorShape shape{.blocks = 2};  // enough for two stages a rank
  shape.tokens = count("--tokens", tokens, shape.tokens);
  shape.hidden = count("--hidden", hidden, shape.hidden);
  shape.inner = count("--inner", inner, shape.inner);
  shape.blocks = count("--blocks", blocks, shape.blocks);
  if (!seed.empty())
    shape.seed = static_cast<std::uint64_t>(
        parse_count({"--seed", seed}, {0, std::numeric_limits<std::int64_t>::max()}));
  return shape;
}

void MachineOptions::refuse_what_means_nothing(const MachineChoice& choice) const {
  const auto refuse = [](bool is_given, const char* option, const char* needs) {
    if (is_given)
      throw UsageError(fmt::format("{} is for {}", option, needs));
  };
  const bool is_cuda = choice.backend == Backend::Cuda;
  const bool has_tensors = choice.executor.workload == Workload::Tensors;
  refuse(real_time && choice.backend != Backend::Host, "--real-time", "--backend host");
  refuse(!launch.empty() && !is_cuda, "--launch", "--backend cuda");
  refuse(no_partitions && !(is_cuda && has_tensors), "--no-partitions",
         "--backend cuda --workload tensors");
  for (const auto& [option, value] : {std::pair("--tokens", &tokens),
                                      {"--hidden", &hidden},
                                      {"--inner", &inner},
                                      {"--blocks", &blocks},
                                      {"--seed", &seed}})
    refuse(!value->empty() && !has_tensors, option, "--workload tensors");
}

void MachineOptions::choose_machine(MachineChoice& choice) const {
  ExecutorOptions& executor = choice.executor;
  if (!backend.empty())
    choice.backend = static_cast<Backend>(choose("--backend", backend, kBackends));
  if (!workload.empty())
    executor.workload = static_cast<Workload>(choose("--workload", workload, kWorkloads));
  executor.real_time = real_time;
  executor.partitions = !no_partitions;
  if (!launch.empty())
    executor.launch = static_cast<Launch>(choose("--launch", launch, kLaunches));
  refuse_what_means_nothing(choice);
  executor.shape = tensor_shape();
}

void MachineOptions::choose_cluster(MachineChoice& choice) const {
  for (const auto& [option, value] : {std::pair("--rank", &seat.rank),
                                      {"--world-size", &seat.world_size},
                                      {"--local-rank", &seat.local_rank},
                                      {"--master", &seat.master},
                                      {"--meet-timeout", &meet_timeout},
                                      {"--max-ctas", &max_ctas}})
    if (!value->empty() && choice.backend != Backend::Nccl)
      throw UsageError(fmt::format("{} is for --backend nccl", option));
  constexpr std::chrono::milliseconds kFaultGrace{500};
  if (choice.backend == Backend::Nccl)
    choice.replay.fault_grace = kFaultGrace;
  constexpr int kMostCtas = 32;  // that NCCL takes
  choice.cluster.seat = seat;
  if (!meet_timeout.empty())
    choice.cluster.meet_timeout = patience("--meet-timeout", meet_timeout);
  if (!max_ctas.empty())
    choice.executor.max_ctas =
        static_cast<int>(parse_count({"--max-ctas", max_ctas}, {1, kMostCtas}));
}

void MachineOptions::take_profile(MachineChoice& choice) const {
  for (const auto& [option, is_given] : {std::pair("--workload", !workload.empty()),
                                         {"--max-ctas", !max_ctas.empty()},
                                         {"--tokens", !tokens.empty()},
                                         {"--hidden", !hidden.empty()},
                                         {"--inner", !inner.empty()},
                                         {"--blocks", !blocks.empty()},
                                         {"--real-time", real_time},
                                         {"--launch", !launch.empty()},
                                         {"--no-partitions", no_partitions}})
    if (is_given)
      throw UsageError(fmt::format("{} does not go with --profile, which tells it", option));
  choice.profile = read_profile(profile);
  if (!backend.empty() && backend != choice.profile->backend)
    throw UsageError(fmt::format("--backend {}: the profile is of {}", backend.substr(0, 40),
                                 choice.profile->backend));
  choice.backend = static_cast<Backend>(choose("--backend", choice.profile->backend, kBackends));
  choice.executor = choice.profile->options;
  if (!seed.empty() && !choice.has_tensors())
    throw UsageError("--seed is for --workload tensors, and the profile is of timed work");
  choice.executor.shape.seed = tensor_shape().seed;
}

MachineChoice MachineOptions::choice() const {
  MachineChoice choice{.injection = inject, .is_checked = !no_check};
  if (profile.empty())
    choose_machine(choice);
  else
    take_profile(choice);
  choose_cluster(choice);
  const bool is_exact = choice.has_virtual_clock();
  choice.replay.repeats = count("--repeats", repeats, is_exact ? 1 : 5);
  choice.replay.warm_ups = count("--warm-ups", warm_ups, is_exact ? 0 : 1, 0);
  if (cross_check && choice.backend != Backend::Cuda)
    throw UsageError("--cross-check is for --backend cuda");
  choice.executor.cross_check = cross_check;
  choice.replay.timeout = patience("--timeout", timeout);
  return choice;
}

ExecutorOptions MachineChoice::executor_for(int chunks) const {
  ExecutorOptions options = executor;
  if (!has_tensors())
    return options;
  if (options.shape.blocks % chunks != 0)
    throw UsageError(fmt::format("--blocks {}: a rank's {} stages cannot share them evenly",
                                 options.shape.blocks, chunks));
  options.shape.blocks /= chunks;
  return options;
}

Injection parse_injection(const std::string& text, const Schedule& schedule) {
  const auto fail = [&](const std::string& what) {
    throw UsageError(fmt::format("--inject {}: {}", text.substr(0, 40), what));
  };
  const std::size_t first = text.find(':');
  const std::size_t second = text.find(':', first + 1);
  if (first == text.npos || second == text.npos)
    fail("expected hang:RANK:ACTION or fail:RANK:ACTION, such as hang:1:1F2");
  const auto kind = static_cast<Injection::Kind>(
      choose("--inject", std::string_view(text).substr(0, first), {"hang", "fail"}));
  const std::string rank_text = text.substr(first + 1, second - first - 1);
  const std::string wanted = text.substr(second + 1);
  const auto rank = static_cast<std::size_t>(
      parse_count({"the pipeline rank of --inject", rank_text}, {0, schedule.placement.ranks - 1}));
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

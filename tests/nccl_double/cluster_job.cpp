#include "tests/nccl_double/cluster_job.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "tests/support/child.h"
#include "tests/support/command.h"
#include "tests/support/free_port.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kNap{2};
constexpr int kEndedUnseen = 128 + SIGKILL;

}  // namespace

EnvironmentMap double_environment(int gpus) {
  return {{"BUBBLESCOPE_CUDA_MODULE", BUBBLESCOPE_CUDA_DOUBLE},
          {"BUBBLESCOPE_NCCL_LIBRARY", BUBBLESCOPE_NCCL_DOUBLE},
          {"BUBBLESCOPE_DOUBLE_GPUS", std::to_string(gpus)}};
}

std::string without_notes(const std::string& err) {
  std::string rest;
  for (const std::string& line : lines(err))
    if (!line.starts_with("bubblescope: note: BUBBLESCOPE_DOUBLE_"))
      rest += line + "\n";
  return rest;
}

struct ClusterJob::Process {
  Descriptor out = {memory_file("stdout"), "stdout"};
  Descriptor err = {memory_file("stderr"), "stderr"};
  std::filesystem::path notes = {};
  steady_clock::time_point began_at = {};
  steady_clock::time_point ended_at = {};
  pid_t id = -1;
  bool has_ended = false;
  int exit_code = 0;

  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (id < 0 || has_ended)
      return;
    ::kill(id, SIGKILL);
    ::waitpid(id, nullptr, 0);
  }
};

ClusterJob::ClusterJob(const ClusterJobOptions& options) {
  EnvironmentMap all = double_environment(options.processes);
  all["WORLD_SIZE"] = std::to_string(options.processes);
  all["MASTER_ADDR"] = options.master;
  all["MASTER_PORT"] = std::to_string(free_port() - 1);  // the program takes the next one
  for (const auto& [name, value] : options.environment)
    all[name] = value;
  for (int rank = 0; rank < options.processes; ++rank) {
    const auto found = options.changes.find(rank);
    const ProcessChange change = found == options.changes.end() ? ProcessChange{} : found->second;
    auto process = std::make_unique<Process>();
    process->notes = notes_ / std::to_string(rank);
    ProcessOptions own = {.environment = all, .folder = options.folder};
    own.environment["RANK"] = own.environment["LOCAL_RANK"] = std::to_string(rank);
    own.environment["BUBBLESCOPE_DOUBLE_NOTES"] = process->notes;
    for (const auto& [name, value] : change.environment)
      own.environment[name] = value;
    const std::string command = fmt::format(
        "exec {} {} {} {}", change.prefix, program_file().string(), options.line, change.arguments);
    process->began_at = steady_clock::now();
    process->id = start_child("/bin/sh", {"-c", command}, own,
                              {process->out.number(), process->err.number()});
    processes_.push_back(std::move(process));
  }
}

ClusterJob::~ClusterJob() = default;  // where the processes are known

pid_t ClusterJob::id(int rank) const {
  return process(rank).id;
}

void ClusterJob::signal(int rank, int number) const {
  if (!process(rank).has_ended)
    ::kill(process(rank).id, number);
}

/// Whether all have ended.
bool ClusterJob::look() {
  bool all_have = true;
  for (const auto& each : processes_) {
    int status = 0;
    if (!each->has_ended && ::waitpid(each->id, &status, WNOHANG) == each->id) {
      each->has_ended = true;
      each->ended_at = steady_clock::now();
      each->exit_code = exit_code_of(status);
    }
    all_have = all_have && each->has_ended;
  }
  return all_have;
}

bool ClusterJob::wait(milliseconds patience) {
  return wait_until([&] { return look(); }, patience);
}

bool ClusterJob::wait_until(const std::function<bool()>& condition, milliseconds patience) {
  const auto give_up = steady_clock::now() + patience;
  while (true) {
    look();
    if (condition())
      return true;
    if (steady_clock::now() >= give_up)
      return false;
    std::this_thread::sleep_for(kNap);
  }
}

std::string ClusterJob::notes(int rank) const {
  std::ifstream file(process(rank).notes);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool ClusterJob::has_begun_step(int rank) const {
  const std::vector<std::string> groups = lines(notes(rank));
  return std::any_of(groups.begin(), groups.end(), [](const std::string& line) {
    const std::vector<std::string> note = words(line);
    return note.size() > 1 && std::stoi(note[1]) > 1;
  });
}

bool ClusterJob::has_ended(int rank) const {
  return process(rank).has_ended;
}

steady_clock::time_point ClusterJob::ended_at(int rank) const {
  return process(rank).ended_at;
}

ProcessResult ClusterJob::result(int rank) const {
  const Process& one = process(rank);
  return {.exit_code = one.exit_code,
          .out = all_of(one.out),
          .err = without_notes(all_of(one.err)),
          .wall = one.ended_at - one.began_at};
}

std::vector<ProcessResult> run_job(const ClusterJobOptions& options, milliseconds patience) {
  ClusterJob job(options);
  const bool has_ended = job.wait(patience);
  std::vector<ProcessResult> results;
  for (int rank = 0; rank < job.processes(); ++rank) {
    results.push_back(job.result(rank));
    if (!has_ended && !job.has_ended(rank))
      results.back().exit_code = kEndedUnseen;
  }
  return results;
}

}  // namespace bubblescope

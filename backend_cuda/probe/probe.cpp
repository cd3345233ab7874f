// bubblescope_gpu_probe [-o FILE]: measures what the replay of graphs on a GPU is built on: its
// timer, the gaps between kernels, events, partitions, contention, copies. It takes less than a
// minute, wants a GPU that does nothing else, and changes none of its settings.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include "backend_cuda/cuda/check.h"
#include "backend_cuda/probe/device.h"
#include "backend_cuda/probe/measurements.h"
#include "backend_cuda/probe/report.h"

namespace bubblescope::gpu {
namespace {

constexpr int kDone = 0;
constexpr int kUsage = 2;
constexpr int kDeviceFailed = 4;
constexpr unsigned int kWatchdogSeconds = 120;

constexpr const char* kHelp =
    "usage: bubblescope_gpu_probe [-o FILE] [--command TEXT]\n"
    "  -o FILE         also write JSON; FOLDER/ writes FOLDER/DEVICE-probe.json\n"
    "  --command TEXT  what the JSON says was called\n";

struct Options {
  std::string output;
  std::string command;
};

struct Named {
  const char* name;
  Measurement measure;
};

constexpr Named kMeasurements[] = {
    {"timer", measure_timer},           {"drift", measure_drift},
    {"kernel_gaps", measure_gaps},      {"event_error", measure_events},
    {"spin_error", measure_spins},      {"partitions", measure_partitions},
    {"contention", measure_contention}, {"memory_bandwidth", measure_bandwidth},
    {"copies", measure_copies},
};

/// A GPU or a driver may hang, and then no call returns.
extern "C" void on_alarm(int /*signal*/) {
  constexpr char kMessage[] = "bubblescope_gpu_probe: stopped after 120 s\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(kDeviceFailed);
}

void start_watchdog() {
  struct sigaction action {};
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, nullptr);
  alarm(kWatchdogSeconds);
}

void show(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void complain(const std::string& what) {
  std::fprintf(stderr, "bubblescope_gpu_probe: %s\n", what.c_str());
}

/// Measures one thing after another and shows each as it is done. A feature that is missing, and a
/// measurement that fails, become a note; the rest goes on as long as the device does. Returns
/// whether nothing failed.
bool measure_all(const Device& device, Report& report) {
  bool good = true;
  for (const Named& named : kMeasurements) {
    const Table nothing{.name = named.name, .title = named.name};
    std::vector<Table> tables;
    try {
      tables = named.measure(device);
    } catch (const NotSupported& error) {
      tables = {nothing};
      tables[0].notes = {std::string("not supported: ") + error.what()};
    } catch (const std::exception& error) {
      tables = {nothing};
      tables[0].notes = {std::string("failed: ") + error.what()};
      complain(std::string(named.name) + ": " + error.what());
      good = false;
    }
    for (const Table& table : tables) {
      show("\n" + to_text(table));
      report.tables.push_back(table);
    }
    BUBBLESCOPE_CHECK(cudaDeviceSynchronize());  // after some errors nothing works any more
  }
  return good;
}

int run(const Options& options) {
  const auto begin = std::chrono::steady_clock::now();
  const Device device = open_device();
  Report report{.facts = describe(device)};
  report.facts.push_back({"command", options.command});
  show(to_text(report.facts));
  const bool good = measure_all(device, report);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const std::vector<Fact> last = {{"sm_clock_at_end_mhz", measure_sm_clock(device)},
                                  {"seconds", took.count()}};
  show("\n" + to_text(last));
  report.facts.insert(report.facts.end(), last.begin(), last.end());
  if (!options.output.empty()) {
    const bool is_folder = options.output.back() == '/';
    if (is_folder)
      std::filesystem::create_directories(options.output);
    const std::string path =
        options.output + (is_folder ? file_name_of(device.name) + "-probe.json" : "");
    write_file(path, to_json(report));
    show("\nwrote " + path + "\n");
  }
  return good ? kDone : kDeviceFailed;
}

}  // namespace
}  // namespace bubblescope::gpu

int main(int argc, char** argv) {
  using namespace bubblescope::gpu;
  const std::vector<std::string> arguments(argv, argv + argc);
  Options options;
  for (const std::string& argument : arguments)
    options.command += (options.command.empty() ? "" : " ") + argument;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const bool has_value = i + 1 < arguments.size();
    if (arguments[i] == "-h" || arguments[i] == "--help") {
      show(kHelp);
      return kDone;
    }
    if (arguments[i] == "-o" && has_value) {
      options.output = arguments[++i];
    } else if (arguments[i] == "--command" && has_value) {
      options.command = arguments[++i];
    } else {
      std::fputs(kHelp, stderr);
      return kUsage;
    }
  }
  // With CUDA's default of 8 hardware queues, kernels of unrelated streams would wait for each
  // other. A value of the user's own stays.
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
  start_watchdog();
  try {
    return run(options);
  } catch (const std::exception& error) {
    complain(error.what());
    return kDeviceFailed;
  }
}

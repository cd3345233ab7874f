// bubblescope_gpu_probe [-o FILE]: measures what the replay of graphs on a GPU is built on: its
// timer, the gaps between kernels, events, partitions, contention, copies. It takes less than a
// minute, wants a GPU that does nothing else, and changes none of its settings.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <string>
#include <unistd.h>

#include "tests/gpu/probe/device.h"
#include "tests/gpu/probe/report.h"
#include "tools/errors.h"

namespace bubblescope::gpu {
namespace {

struct Named {
  const char* name;
  std::vector<Table> (*measure)(const Device&);
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
  constexpr char kMessage[] = "the probe: stopped after 120 s\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(kDevice);
}

void start_watchdog() {
  struct sigaction action {};
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, nullptr);
  alarm(120);
}

/// Measures one thing after another. A feature that is missing, and a measurement that fails,
/// become a note; the rest goes on as long as the device does.
void measure_all(Report& report) {
  const auto begin = std::chrono::steady_clock::now();
  // With CUDA's default of 8 hardware queues, kernels of unrelated streams would wait for each
  // other. A value of the user's own stays.
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
  start_watchdog();
  const Device device = open_device();
  report.facts = describe(device);
  for (const auto& [name, measure] : kMeasurements) {
    const auto note = [&, name = name](const std::string& what) {
      report.tables.push_back({.name = name, .title = name, .notes = {what}});
    };
    try {
      for (Table& table : measure(device))
        report.tables.push_back(std::move(table));
    } catch (const NotSupported& error) {
      note(std::string("not supported: ") + error.what());
    } catch (const std::exception& error) {
      note(std::string("failed: ") + error.what());
      complain(std::string(name) + ": " + error.what());
      report.is_good = false;
    }
    BUBBLESCOPE_CHECK(cudaDeviceSynchronize());  // after some errors nothing works any more
  }
  report.facts["sm_clock_at_end_mhz"] = rounded(measure_sm_clock(device));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  report.facts["seconds"] = rounded(took.count());
}

}  // namespace
}  // namespace bubblescope::gpu

int main(int argc, char** argv) {
  return bubblescope::gpu::run_probe(argc, argv, bubblescope::gpu::measure_all);
}

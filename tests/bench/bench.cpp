// bubblescope_bench [--json FILE]: how fast predictions are and what they hold in memory, beside a
// bare sweep, the machine's copy bandwidth and SimGrid, all in one run, since only ratios within a
// run are safe. It takes about a minute and wants a machine that does nothing else.
#include <cstdio>
#include <exception>
#include <fstream>
#include <malloc.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/bench/figures.h"
#include "tests/bench/measure.h"

namespace bubblescope::bench {
namespace {

constexpr Shape kSmall = {.ranks = 64, .microbatches = 4096};
constexpr Shape kLarge = {.ranks = 1024, .microbatches = 12213};  // N = 5 · 10⁷

/// As tools/main.cpp does: memory that is freed is kept for the next prediction.
void keep_freed_memory() {
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

void progress(std::string_view what) {
  fmt::print(stderr, "bubblescope_bench: {}\n", what);
}

std::string machine() {
  std::ifstream file("/proc/cpuinfo");
  std::string model = "unknown processor";
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  return fmt::format("{}, {} cores", model, std::thread::hardware_concurrency());
}

ShapeFigures measure_shape(Shape shape, int repeats, int event_repeats) {
  progress(fmt::format("{}×{}: predictions", shape.ranks, shape.microbatches));
  ShapeFigures figures{.shape = shape, .repeats = repeats};
  figures.prediction = measure_prediction(shape, repeats);
  progress(fmt::format("{}×{}: sweeps and event queue", shape.ranks, shape.microbatches));
  figures.kernel = measure_kernels(shape, repeats, event_repeats);
  return figures;
}

#ifdef BUBBLESCOPE_SIMGRID
std::optional<SimGridFigures> compare_with_simgrid() {
  constexpr int kRounds = 5;
  constexpr int kRepeats = 9;
  SimGridFigures figures{.shape = kSmall};
  for (int round = 0; round < kRounds; ++round) {
    progress(fmt::format("SimGrid and ours in turn, {} of {}", round + 1, kRounds));
    const auto simgrid = nlohmann::json::parse(output_of(
        {BUBBLESCOPE_SIMGRID, std::to_string(kSmall.ranks), std::to_string(kSmall.microbatches),
         std::to_string(kForwardUs), std::to_string(kBackwardUs), std::to_string(kMessageUs)}));
    const PredictionFigures ours = measure_prediction(kSmall, kRepeats);
    figures.simgrid.push_back(simgrid["nodes_per_s"]);
    figures.ours_first.push_back(n_per_s(kSmall, total_ms(ours.first)));
    figures.ours_median.push_back(n_per_s(kSmall, ours.median_total_ms));
    figures.same_step_time &= simgrid["step_time_ns"] == ours.step_time_ns;
  }
  return figures;
}
#else
std::optional<SimGridFigures> compare_with_simgrid() {
  return {};
}
#endif

std::vector<LinearityFigures> measure_linearity() {
  constexpr int kRounds = 5;
  constexpr int kRepeats = 5;
  progress("linearity");
  std::vector<LinearityFigures> figures;
  for (const int microbatches : {1024, 4096, 16384})
    figures.push_back({.shape = {.ranks = 64, .microbatches = microbatches}});
  std::vector<std::vector<double>> rates(figures.size());
  for (int round = 0; round < kRounds; ++round)
    for (std::size_t i = 0; i < figures.size(); ++i)
      rates[i].push_back(n_per_s(figures[i].shape,
                                 measure_prediction(figures[i].shape, kRepeats).median_total_ms));
  for (std::size_t i = 0; i < figures.size(); ++i)
    figures[i].n_per_s = median(rates[i]);
  return figures;
}

void write_file(const std::string& path, const std::string& text) {
  const std::string beside = path + ".partial";
  std::ofstream file(beside);
  file << text << std::flush;
  if (!file || std::rename(beside.c_str(), path.c_str()) != 0)
    throw std::runtime_error("cannot write " + path);
}

int run(const std::vector<std::string>& arguments) {
  const bool to_file = arguments.size() == 3 && arguments[1] == "--json";
  if (!to_file && arguments.size() != 1) {
    fmt::print(stderr, "usage: bubblescope_bench [--json FILE]\n");
    return 2;
  }
  Figures figures;
  for (const std::string& argument : arguments)
    figures.command += (figures.command.empty() ? "" : " ") + argument;
  figures.machine = machine();
  figures.compiler = fmt::format("g++ {}, {}", __VERSION__, BUBBLESCOPE_BUILD_FLAGS);
  figures.copy_bytes_per_s = measure_copy_bandwidth();
  figures.shapes.push_back(measure_shape(kSmall, 31, 7));
  figures.shapes.push_back(measure_shape(kLarge, 7, 1));
  figures.simgrid = compare_with_simgrid();
  figures.linearity = measure_linearity();
  progress("phases");
  figures.phases = measure_phases();
  progress("traces");
  figures.traces = measure_traces();
  fmt::print("{}", to_text(figures));
  if (to_file)
    write_file(arguments[2], to_json(figures).dump(2) + "\n");
  return 0;
}

}  // namespace
}  // namespace bubblescope::bench

int main(int argc, char** argv) {
  bubblescope::bench::keep_freed_memory();
  try {
    return bubblescope::bench::run({argv, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "bubblescope_bench: {}\n", error.what());
    return 1;
  }
}

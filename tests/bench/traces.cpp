#include "tests/bench/traces.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

#include <fmt/format.h>

#include "analysis/gpu_trace/gpu_figures.h"
#include "analysis/gpu_trace/trace_reader.h"
#include "analysis/traces/chrome_trace.h"
#include "analysis/traces/kineto_trace.h"
#include "sim/engine/simulate.h"
#include "tests/bench/measure.h"
#include "tests/bench/prediction.h"

namespace bubblescope::bench {
namespace {

constexpr int kRepeats = 3;

/// Bytes per second that `write` gives to its sink, best of the repeats.
template <typename Write>
double write_rate(const Write& write) {
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    std::size_t bytes = 0;
    Stopwatch watch;
    write([&](std::string_view piece) { bytes += piece.size(); });
    best = std::max(best, static_cast<double>(bytes) / (watch.lap_ms() / 1e3));
  }
  return best;
}

/// One launch of a kernel as PyTorch's profiler tells it: an op, the runtime's call, the kernel and
/// a flow between them, in the proportions of a training step.
std::string launch(std::int64_t number) {
  constexpr std::string_view kKernel =
      "void at::native::vectorized_elementwise_kernel<4, at::native::AUnaryFunctor<float, float, "
      "float, at::native::binary_internal::MulFunctor<float> >, at::detail::Array<char*, 2> >(int, "
      "at::native::AUnaryFunctor<float, float, float>, at::detail::Array<char*, 2>)";
  constexpr std::int64_t kBegin = 1724152123456789;
  constexpr std::int64_t kApart = 40;
  return fmt::format(
      R"({{
    "ph": "X", "cat": "cpu_op", "name": "aten::addmm", "pid": 4037, "tid": 4037,
    "ts": {0}.125, "dur": 35.250,
    "args": {{
      "External id": {1},"Record function id": 0, "Concrete Inputs": ["", "", "", "1", "1"],
      "Input type": ["c10::BFloat16", "c10::BFloat16", "c10::BFloat16", "Scalar", "Scalar"],
      "Input Strides": [[1], [7168, 1], [1, 7168], [], []], "Ev Idx": {1}
    }}
  }},
  {{
    "ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 4037, "tid": 4037,
    "ts": {0}.500, "dur": 4.125,
    "args": {{
      "External id": {1}, "cbid": 211, "correlation": {1}
    }}
  }},
  {{
    "ph": "s", "id": {1}, "pid": 4037, "tid": 4037, "ts": {0}.500,
    "cat": "ac2g", "name": "ac2g"
  }},
  {{
    "ph": "X", "cat": "kernel", "name": "{2}", "pid": 0, "tid": 7,
    "ts": {0}.875, "dur": 31.008,
    "args": {{
      "External id": {1}, "queued": 0, "device": 0, "context": 1, "stream": 7, "correlation": {1},
      "registers per thread": 40, "shared memory": 400, "blocks per SM": 4.740741,
      "warps per SM": 75.851852, "grid": [512, 1, 1], "block": [512, 1, 1],
      "est. achieved occupancy %": 75
    }}
  }},
  {{
    "ph": "f", "id": {1}, "pid": 0, "tid": 7, "ts": {0}.875,
    "cat": "ac2g", "name": "ac2g", "bp": "e"
  }},
)",
      kBegin + kApart * number, number + 1, kKernel);
}

struct ReadFigures {
  double bytes_per_s, peak_bytes;
};

ReadFigures read_repeatedly(const std::string& path) {
  const auto bytes = static_cast<double>(std::filesystem::file_size(path));
  const auto before = static_cast<double>(resident().peak_bytes);
  ReadFigures figures{};
  for (int i = 0; i < kRepeats; ++i) {
    Stopwatch watch;
    KernelNames names;
    const TraceSet traces = read_traces({path}, names);
    gpu_figures(traces, names, WindowKind::Common);
    figures.bytes_per_s = std::max(figures.bytes_per_s, bytes / (watch.lap_ms() / 1e3));
  }
  figures.peak_bytes = static_cast<double>(resident().peak_bytes) - before;
  return figures;
}

/// Of a file that goes again.
ReadFigures measure_reading(double least_bytes) {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("bubblescope-bench-{}.json", getpid()))
          .string();
  {
    std::ofstream file(path);
    file << R"({"schemaVersion": 1, "distributedInfo": {"rank": 0}, "traceEvents": [)" << '\n';
    for (std::int64_t i = 0; static_cast<double>(file.tellp()) < least_bytes; ++i)
      file << launch(i);
    file << R"({"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "python"}}]})";
  }
  const ReadFigures figures = in_child([&] { return read_repeatedly(path); });
  std::filesystem::remove(path);
  return figures;
}

}  // namespace

TraceFigures measure_traces() {
  constexpr Shape kMillion = {.ranks = 64, .microbatches = 8192};  // 2pm actions
  constexpr double kReadBytes = 512e6;
  TraceFigures figures{.slices = 2LL * kMillion.ranks * kMillion.microbatches,
                       .read_bytes = kReadBytes};
  const DependencyGraph graph = workload_graph(kMillion);
  const Timeline timeline = simulate(graph);
  figures.chrome_bytes_per_s =
      write_rate([&](const Sink& sink) { write_chrome_trace(Analysis(graph, timeline), sink); });
  figures.kineto_bytes_per_s = write_rate([&](const Sink& sink) {
    const KinetoTraces traces(graph, timeline);
    for (Rank rank = 0; rank < traces.ranks(); ++rank)
      traces.write(rank, sink);
  });
  const ReadFigures reading = measure_reading(kReadBytes);
  figures.read_bytes_per_s = reading.bytes_per_s;
  figures.read_peak_bytes = reading.peak_bytes;
  return figures;
}

}  // namespace bubblescope::bench

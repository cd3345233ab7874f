#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/probe/measurements.h"
#include "backend_cuda/probe/probe_kernels.h"
#include "backend_cuda/probe/sm_holder.h"
#include "backend_cuda/probe/statistics.h"
#include "sim/base/statistics.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::size_t kLargest = std::size_t{256} << 20;

enum class Method { Plain, Batch, GraphNode };

const char* name_of(Method method) {
  switch (method) {
    case Method::Plain:
      return "cudaMemcpyAsync";
    case Method::Batch:
      return "cudaMemcpyBatchAsync";
    case Method::GraphNode:
      return "cudaMemcpyAsync in a graph";
  }
  return "";
}

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};

void enqueue_plain(const Copy& copy, cudaStream_t stream) {
  BUBBLESCOPE_CHECK(
      cudaMemcpyAsync(copy.to, copy.from, copy.bytes, cudaMemcpyDeviceToDevice, stream));
}

/// Asks for a copy engine: the copy should run beside compute.
void enqueue_batch(const Copy& copy, cudaStream_t stream) {
#if CUDART_VERSION >= 12080
  void* to = copy.to;
  const void* from = copy.from;
  std::size_t bytes = copy.bytes;
  std::size_t first = 0;
  cudaMemcpyAttributes attributes{};
  attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
  attributes.flags = cudaMemcpyFlagPreferOverlapWithCompute;
#if CUDART_VERSION >= 13000
  BUBBLESCOPE_CHECK(cudaMemcpyBatchAsync(&to, &from, &bytes, 1, &attributes, &first, 1, stream));
#else
  void* source = const_cast<void*>(from);
  std::size_t failed = 0;
  BUBBLESCOPE_CHECK(
      cudaMemcpyBatchAsync(&to, &source, &bytes, 1, &attributes, &first, 1, &failed, stream));
#endif
#else
  static_cast<void>(copy);
  static_cast<void>(stream);
  throw NotSupported("cudaMemcpyBatchAsync came with CUDA 12.8");
#endif
}

class Bench {
 public:
  explicit Bench(const Device& device)
      : device_(device),
        from_(kLargest),
        to_(kLargest),
        gate_stamp_(1),
        stream_(make_stream()),
        holder_stream_(make_stream()),
        before_(make_event(cudaEventDefault)),
        after_(make_event(cudaEventDefault)) {
    from_.fill(0x5a);
  }

  /// µs between an event before the copy and one after.
  std::vector<double> time(Method method, std::size_t bytes) const;

  /// Whether a copy gets done while every SM is held, if they can be held.
  Cell needs_no_sm(Method method, std::size_t bytes) const;

  /// "yes", or why a method's copies cannot be captured into a graph.
  std::string try_to_capture(Method method) const;

 private:
  void enqueue(Method method, std::size_t bytes, const Graph& graph) const;
  Graph graph_of(Method method, std::size_t bytes) const;
  Copy copy_of(std::size_t bytes) const { return {to_.data(), from_.data(), bytes}; }

  const Device& device_;
  DeviceBuffer<unsigned char> from_;
  DeviceBuffer<unsigned char> to_;
  DeviceBuffer<BlockStamp> gate_stamp_;
  Stream stream_;
  Stream holder_stream_;
  Event before_;
  Event after_;
};

void Bench::enqueue(Method method, std::size_t bytes, const Graph& graph) const {
  switch (method) {
    case Method::Plain:
      return enqueue_plain(copy_of(bytes), stream_.get());
    case Method::Batch:
      return enqueue_batch(copy_of(bytes), stream_.get());
    case Method::GraphNode:
      BUBBLESCOPE_CHECK(cudaGraphLaunch(graph.get(), stream_.get()));
  }
}

Graph Bench::graph_of(Method method, std::size_t bytes) const {
  if (method != Method::GraphNode)
    return {};
  return capture(stream_.get(), [&] { enqueue_plain(copy_of(bytes), stream_.get()); });
}

std::vector<double> Bench::time(Method method, std::size_t bytes) const {
  constexpr int kWarmUps = 3;
  constexpr int kRepeats = 30;
  constexpr nanoseconds kGate = microseconds(200);  // to queue everything behind it
  const Graph graph = graph_of(method, bytes);
  std::vector<double> us;
  for (int repeat = -kWarmUps; repeat < kRepeats; ++repeat) {
    BUBBLESCOPE_CHECK(
        launch_spin({.stamps = gate_stamp_.data(), .nanoseconds = kGate.count()}, stream_.get()));
    BUBBLESCOPE_CHECK(cudaEventRecord(before_.get(), stream_.get()));
    enqueue(method, bytes, graph);
    BUBBLESCOPE_CHECK(cudaEventRecord(after_.get(), stream_.get()));
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream_.get()));
    float ms = 0;
    BUBBLESCOPE_CHECK(cudaEventElapsedTime(&ms, before_.get(), after_.get()));
    if (repeat >= 0)
      us.push_back(static_cast<double>(ms) * 1e3);
  }
  return us;
}

Cell Bench::needs_no_sm(Method method, std::size_t bytes) const {
  constexpr milliseconds kPatience{20};  // 256 MiB take 3 ms at 87 GB/s
  constexpr milliseconds kLimit{60};
  const Graph graph = graph_of(method, bytes);
  enqueue(method, bytes, graph);  // warm-up: to load what the copy needs could wait for the holder
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream_.get()));
  bool done = false;
  try {
    const SmHolder holder(
        device_, {.stream = holder_stream_.get(), .sms = device_.sm_count, .limit = kLimit});
    enqueue(method, bytes, graph);
    BUBBLESCOPE_CHECK(cudaEventRecord(after_.get(), stream_.get()));
    const auto give_up = steady_clock::now() + kPatience;
    while (!done && steady_clock::now() < give_up)
      done = BUBBLESCOPE_IS_DONE(cudaEventQuery(after_.get()));
    done = done && holder.is_running();
  } catch (const NotSupported&) {
    return {};
  }
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream_.get()));
  return done;
}

std::string Bench::try_to_capture(Method method) const {
  try {
    const Graph graph = capture(stream_.get(), [&] { enqueue(method, kCopyBlockBytes, {}); });
    return "yes";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

/// Time = alpha + bytes / beta, by relative errors, so that small copies count like large ones.
std::vector<Cell> fit_row(Method method, const std::vector<DataPoint>& points) {
  const FittedLine line = fit_line(points);
  double worst = 0;
  for (const DataPoint& point : points)
    worst = std::max(worst, std::abs(line.at(point.x) / point.y - 1));
  return {std::string(name_of(method)), line.at(0), 1e-3 / line.slope, 100 * worst};
}

}  // namespace

std::vector<Table> measure_bandwidth(const Device& /*device*/) {
  constexpr int kWarmUps = 3;
  constexpr int kRepeats = 20;
  constexpr std::size_t kBytes = std::size_t{512} << 20;
  constexpr auto kBlocks = static_cast<unsigned int>(kBytes / kCopyBlockBytes);
  const Stream stream = make_stream();
  const DeviceBuffer<unsigned char> from(kBytes);
  const DeviceBuffer<unsigned char> to(kBytes);
  const DeviceBuffer<BlockStamp> stamps(kBlocks);
  std::vector<double> rates;
  for (int repeat = -kWarmUps; repeat < kRepeats; ++repeat) {
    BUBBLESCOPE_CHECK(launch_copy(
        {.from = from.data(), .to = to.data(), .stamps = stamps.data(), .blocks = kBlocks},
        stream.get()));
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
    const double ns = static_cast<double>(interval_of(stamps.download()).length());
    if (repeat >= 0)
      rates.push_back(2.0 * static_cast<double>(kBytes) / ns);
  }
  Table table{.name = "memory_bandwidth",
              .title = "memory: a kernel copies 512 MiB; bytes read and bytes written count",
              .columns = with_spread({{"bytes"}}, "GB_s", 1)};
  table.rows.push_back(with_spread({static_cast<std::int64_t>(2 * kBytes)}, spread_of(rates)));
  return {table};
}

std::vector<Table> measure_copies(const Device& device) {
  const Bench bench(device);
  Table sizes{.name = "copies",
              .title = "copies within the device: events around one copy",
              .columns = with_spread({{"by"}, {"bytes"}}, "us", 3)};
  sizes.columns.push_back({"GB_s", 1});
  sizes.columns.push_back({"without_sms"});
  sizes.notes = {"GB_s counts bytes copied, once; without_sms: done while every SM was held"};
  Table fits{.name = "copy_fit",
             .title = "copies within the device: time = alpha + bytes / beta",
             .columns = {{"by"}, {"alpha_us", 3}, {"beta_GB_s", 1}, {"worst_error_percent", 1}}};
  for (const Method method : {Method::Plain, Method::Batch, Method::GraphNode}) {
    std::vector<DataPoint> points;
    try {
      for (std::size_t bytes = 4096; bytes <= kLargest; bytes *= 4) {
        const Spread spread = spread_of(bench.time(method, bytes));
        points.push_back({.x = static_cast<double>(bytes),
                          .y = spread.p50,
                          .weight = 1 / (spread.p50 * spread.p50)});
        std::vector<Cell> row =
            with_spread({std::string(name_of(method)), static_cast<std::int64_t>(bytes)}, spread);
        row.emplace_back(static_cast<double>(bytes) / spread.p50 / 1e3);
        row.push_back(bench.needs_no_sm(method, bytes));
        sizes.rows.push_back(row);
      }
      fits.rows.push_back(fit_row(method, points));
    } catch (const std::runtime_error& error) {
      sizes.notes.push_back(std::string(name_of(method)) + ": " + error.what());
    }
  }
  for (const Method method : {Method::Plain, Method::Batch})
    fits.notes.push_back(std::string(name_of(method)) +
                         " can be captured: " + bench.try_to_capture(method));
  return {sizes, fits};
}

}  // namespace bubblescope::gpu

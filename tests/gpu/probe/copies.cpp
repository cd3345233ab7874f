// Copies within the device, by kernels and by copy engines.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>

#include "sim/base/statistics.h"
#include "tests/gpu/probe/device.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::milliseconds;
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

/// Asks for a copy engine: the copy should run beside compute.
void enqueue_batch([[maybe_unused]] void* to, [[maybe_unused]] void* from,
                   [[maybe_unused]] std::size_t bytes, [[maybe_unused]] cudaStream_t stream) {
#if CUDART_VERSION >= 12080
  std::size_t first = 0;
  cudaMemcpyAttributes attributes{};
  attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
  attributes.flags = cudaMemcpyFlagPreferOverlapWithCompute;
#if CUDART_VERSION >= 13000
  const void* source = from;
  BUBBLESCOPE_CHECK(cudaMemcpyBatchAsync(&to, &source, &bytes, 1, &attributes, &first, 1, stream));
#else
  std::size_t failed = 0;
  BUBBLESCOPE_CHECK(
      cudaMemcpyBatchAsync(&to, &from, &bytes, 1, &attributes, &first, 1, &failed, stream));
#endif
#else
  throw NotSupported("cudaMemcpyBatchAsync came with CUDA 12.8");
#endif
}

class Bench {
 public:
  explicit Bench(const Device& device) : device_(device) { from_.fill(0x5a); }

  /// µs between an event before the copy and one after.
  std::vector<double> time(Method method, std::size_t bytes) const;

  /// Whether a copy gets done while every SM is held; null if they cannot be held.
  ordered_json needs_no_sm(Method method, std::size_t bytes) const;

  /// "yes", or why a method's copies cannot be captured into a graph.
  std::string try_to_capture(Method method) const;

 private:
  void enqueue(Method method, std::size_t bytes, const Graph& graph) const;
  Graph graph_of(Method method, std::size_t bytes) const;

  const Device& device_;
  DeviceBuffer<unsigned char> from_{kLargest};
  DeviceBuffer<unsigned char> to_{kLargest};
  EventTimer timer_;
  Stream holder_stream_ = make_stream();
  Event after_ = make_event();
};

void Bench::enqueue(Method method, std::size_t bytes, const Graph& graph) const {
  const cudaStream_t stream = timer_.stream();
  if (method == Method::Batch)
    return enqueue_batch(to_.data(), from_.data(), bytes, stream);
  BUBBLESCOPE_CHECK(
      method == Method::GraphNode
          ? cudaGraphLaunch(graph.get(), stream)
          : cudaMemcpyAsync(to_.data(), from_.data(), bytes, cudaMemcpyDeviceToDevice, stream));
}

Graph Bench::graph_of(Method method, std::size_t bytes) const {
  if (method != Method::GraphNode)
    return {};
  return capture(timer_.stream(), [&] { enqueue(Method::Plain, bytes, {}); });
}

std::vector<double> Bench::time(Method method, std::size_t bytes) const {
  const Graph graph = graph_of(method, bytes);
  return samples_of(3, 30, [&] { return timer_.time([&] { enqueue(method, bytes, graph); }); });
}

ordered_json Bench::needs_no_sm(Method method, std::size_t bytes) const {
  constexpr milliseconds kPatience{20};  // 256 MiB take 3 ms at 87 GB/s
  constexpr milliseconds kLimit{60};
  const Graph graph = graph_of(method, bytes);
  enqueue(method, bytes, graph);  // warm-up: to load what the copy needs could wait for the holder
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(timer_.stream()));
  bool done = false;
  try {
    const SmHolder holder(
        device_, {.stream = holder_stream_.get(), .sms = device_.sm_count, .limit = kLimit});
    enqueue(method, bytes, graph);
    BUBBLESCOPE_CHECK(cudaEventRecord(after_.get(), timer_.stream()));
    const auto give_up = steady_clock::now() + kPatience;
    while (!done && steady_clock::now() < give_up)
      done = BUBBLESCOPE_IS_DONE(cudaEventQuery(after_.get()));
    done = done && holder.is_running();
  } catch (const NotSupported&) {
    return nullptr;
  }
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(timer_.stream()));
  return done;
}

std::string Bench::try_to_capture(Method method) const {
  try {
    const Graph graph = capture(timer_.stream(), [&] { enqueue(method, kCopyBlockBytes, {}); });
    return "yes";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

/// Time = alpha + bytes / beta, by relative errors, so that small copies count like large ones.
ordered_json fit_row(Method method, const std::vector<DataPoint>& points) {
  const FittedLine line = fit_line(points);
  double worst = 0;
  for (const DataPoint& point : points)
    worst = std::max(worst, std::abs(line.at(point.x) / point.y - 1));
  return {{"by", name_of(method)},
          {"alpha_us", rounded(line.at(0))},
          {"beta_GB_s", rounded(1e-3 / line.slope)},
          {"worst_error_percent", rounded(100 * worst)}};
}

}  // namespace

std::vector<Table> measure_bandwidth(const Device& /*device*/) {
  constexpr std::size_t kBytes = std::size_t{512} << 20;
  constexpr auto kBlocks = static_cast<unsigned int>(kBytes / kCopyBlockBytes);
  const Stream stream = make_stream();
  const DeviceBuffer<unsigned char> from(kBytes);
  const DeviceBuffer<unsigned char> to(kBytes);
  const DeviceBuffer<BlockStamp> stamps(kBlocks);
  ordered_json row = {{"bytes", 2 * kBytes}};
  add_spread(row, "GB_s", samples_of(3, 20, [&] {
               BUBBLESCOPE_CHECK(
                   launch_copy(from.data(), to.data(), stamps.data(), kBlocks, stream.get()));
               BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
               return 2e-3 * static_cast<double>(kBytes) /
                      to_us(span_of(stamps.download()).length());
             }));
  return {{.name = "memory_bandwidth",
           .title = "memory: a kernel copies 512 MiB; bytes read and bytes written count",
           .rows = {row}}};
}

std::vector<Table> measure_copies(const Device& device) {
  const Bench bench(device);
  Table sizes{.name = "copies",
              .title = "copies within the device: events around one copy",
              .notes = {"GB_s counts bytes copied, once; without_sms: done while every SM was "
                        "held"}};
  Table fits{.name = "copy_fit", .title = "copies within the device: time = alpha + bytes / beta"};
  for (const Method method : {Method::Plain, Method::Batch, Method::GraphNode}) {
    std::vector<DataPoint> points;
    try {
      for (std::size_t bytes = 4096; bytes <= kLargest; bytes *= 4) {
        const auto size = static_cast<double>(bytes);
        ordered_json row = {{"by", name_of(method)}, {"bytes", bytes}};
        const double median = add_spread(row, "us", bench.time(method, bytes));
        points.push_back({.x = size, .y = median, .weight = 1 / (median * median)});
        row["GB_s"] = rounded(size / median / 1e3);
        row["without_sms"] = bench.needs_no_sm(method, bytes);
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

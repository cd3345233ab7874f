// The time between kernels that follow each other.
#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string>

#include "tests/gpu/probe/device.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::size_t kChain = 64;   ///< Kernels in a row.
constexpr std::size_t kForks = 16;   ///< Forks in a row, each joined before the next.
constexpr std::size_t kStreams = 8;  ///< As many as the widest fork has branches.

struct Kernel {
  std::size_t stream;
  std::vector<std::size_t> after;  ///< Kernels before it; the gap is from the last end on.
  const char* gap_between = "kernels";
};

/// Kernels in the order in which they are launched; the first is the first stream's.
struct Shape {
  std::string name;
  std::size_t blocks;  ///< Each kernel has so many.
  std::vector<Kernel> kernels = {};
};

/// In a row, each in the next of the streams.
Shape chain(const std::string& name, std::size_t blocks, std::size_t streams) {
  Shape shape{name, blocks};
  for (std::size_t i = 0; i < kChain; ++i)
    shape.kernels.push_back(
        {i % streams, i == 0 ? std::vector<std::size_t>{} : std::vector{i - 1}});
  return shape;
}

Shape forks(std::size_t width) {
  Shape shape{"fork of " + std::to_string(width), 1, {{0, {}}}};
  for (std::size_t fork = 0; fork < kForks; ++fork) {
    const std::size_t root = shape.kernels.size() - 1;
    Kernel join{0, {}, "last branch and join"};
    for (std::size_t branch = 0; branch < width; ++branch) {
      join.after.push_back(shape.kernels.size());
      shape.kernels.push_back({branch, {root}, "root and each branch"});
    }
    shape.kernels.push_back(join);
  }
  return shape;
}

class Bench {
 public:
  explicit Bench(const Device& device) : stamps_(kMostKernels * device.sm_count) {
    while (streams_.size() < kStreams)
      streams_.push_back(make_stream());
    while (events_.size() < kMostKernels)
      events_.push_back(make_event());
  }

  void enqueue(const Shape& shape) const;
  /// µs of the gaps, by what they are between; none if the host is too slow to queue the kernels.
  std::map<std::string, std::vector<double>> run(const Shape& shape, bool as_graph) const;

 private:
  static constexpr std::size_t kMostKernels = kForks * (kStreams + 1) + 1;

  std::vector<Span> spans_of(const Shape& shape) const;

  DeviceBuffer<BlockStamp> stamps_;
  DeviceBuffer<BlockStamp> gate_stamp_{1};
  std::vector<Stream> streams_;
  std::vector<Event> events_;  // one a kernel
};

/// Events order kernels of different streams alone.
void Bench::enqueue(const Shape& shape) const {
  constexpr nanoseconds kSpin = microseconds(20);
  std::set<std::size_t> awaited;
  for (const Kernel& kernel : shape.kernels)
    for (const std::size_t before : kernel.after)
      if (shape.kernels[before].stream != kernel.stream)
        awaited.insert(before);
  for (std::size_t i = 0; i < shape.kernels.size(); ++i) {
    const Kernel& kernel = shape.kernels[i];
    const cudaStream_t stream = streams_[kernel.stream].get();
    for (const std::size_t before : kernel.after)
      if (shape.kernels[before].stream != kernel.stream)
        BUBBLESCOPE_CHECK(cudaStreamWaitEvent(stream, events_[before].get()));
    BUBBLESCOPE_CHECK(launch_spin(stamps_.data() + i * shape.blocks, kSpin.count(),
                                  static_cast<unsigned int>(shape.blocks), stream));
    if (awaited.contains(i))
      BUBBLESCOPE_CHECK(cudaEventRecord(events_[i].get(), stream));
  }
}

std::vector<Span> Bench::spans_of(const Shape& shape) const {
  const std::vector<BlockStamp> stamps = stamps_.download();
  std::vector<Span> spans;
  for (std::size_t i = 0; i < shape.kernels.size(); ++i)
    spans.push_back(span_of({stamps.data() + i * shape.blocks, shape.blocks}));
  return spans;
}

/// Repeats a shape behind a kernel that holds it back until all of it is queued, so that the gaps
/// are the device's and not the host's.
std::map<std::string, std::vector<double>> Bench::run(const Shape& shape, bool as_graph) const {
  constexpr int kRepeats = 12;                     // after one that warms up
  constexpr nanoseconds kGate = milliseconds(10);  // long enough to queue everything behind it
  const cudaStream_t first = streams_[0].get();
  const Graph graph = as_graph ? capture(first, [&] { enqueue(shape); }) : Graph();
  std::map<std::string, std::vector<double>> gaps;
  for (int repeat = 0; repeat <= kRepeats; ++repeat) {
    BUBBLESCOPE_CHECK(launch_spin(gate_stamp_.data(), kGate.count(), 1, first));
    const auto begin = steady_clock::now();
    if (as_graph)
      BUBBLESCOPE_CHECK(cudaGraphLaunch(graph.get(), first));
    else
      enqueue(shape);
    const nanoseconds queueing = steady_clock::now() - begin;
    for (const Stream& used : streams_)
      BUBBLESCOPE_CHECK(cudaStreamSynchronize(used.get()));
    if (repeat == 0 || queueing >= kGate)
      continue;  // the warm-up, or the host was too slow
    const std::vector<Span> spans = spans_of(shape);
    for (std::size_t i = 1; i < spans.size(); ++i) {
      Time last = Time::min();
      for (const std::size_t before : shape.kernels[i].after)
        last = std::max(last, spans[before].end);
      gaps[shape.kernels[i].gap_between].push_back(to_us(spans[i].start - last));
    }
  }
  return gaps;
}

}  // namespace

std::vector<Table> measure_gaps(const Device& device) {
  const Bench bench(device);
  Table table{.name = "kernel_gaps",
              .title = "kernel gaps: end of one kernel to start of the next"};
  const auto add = [&](const Shape& shape, bool as_graph) {
    const std::string launched_by = as_graph ? "graph" : "streams";
    const auto gaps = bench.run(shape, as_graph);
    if (gaps.empty())
      table.notes.push_back(shape.name + ", " + launched_by +
                            ": the host was too slow to queue it");
    for (const auto& [between, us] : gaps) {
      table.rows.push_back({{"shape", shape.name},
                            {"gap_between", between},
                            {"launched_by", launched_by},
                            {"blocks", shape.blocks}});
      add_spread(table.rows.back(), "us", us);
    }
  };
  for (const std::size_t blocks : {std::size_t{1}, std::size_t{device.sm_count}})
    for (const bool as_graph : {false, true})
      add(chain("chain", blocks, 1), as_graph);
  add(chain("two streams in turn, by events", 1, 2), false);
  for (const std::size_t width : {std::size_t{2}, kStreams})  // 8: a pipeline's ranks
    for (const bool as_graph : {false, true})
      add(forks(width), as_graph);
  return {table};
}

}  // namespace bubblescope::gpu

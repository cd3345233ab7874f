#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/probe/measurements.h"
#include "backend_cuda/probe/probe_kernels.h"
#include "backend_cuda/probe/statistics.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::size_t kChain = 64;  ///< Kernels in a row.
constexpr std::size_t kForks = 16;  ///< Forks in a row, each joined before the next.
constexpr int kRepeats = 12;        ///< After one that warms up.
constexpr nanoseconds kSpin = microseconds(20);
constexpr nanoseconds kGate = milliseconds(10);  ///< Long enough to queue everything behind it.

/// Gaps of one kind, in µs.
struct Gaps {
  std::string between;
  std::vector<double> us;
};

/// Kernels, what orders them, and what their intervals say.
struct Shape {
  std::string name;
  std::size_t kernels;
  std::size_t blocks;  ///< Of each kernel.
  /// Puts the kernels into streams that all start from the first stream.
  std::function<void()> enqueue;
  /// The gaps between the kernels' intervals, the same kinds each time.
  std::function<std::vector<Gaps>(const std::vector<Interval>&)> gaps;
};

class Bench {
 public:
  explicit Bench(const Device& device)
      : sms_(device.sm_count),
        stamps_(std::max(kChain * device.sm_count, kForks * (kStreams + 1) + 1)),
        gate_stamp_(1) {
    for (std::size_t i = 0; i < kStreams; ++i) {
      streams_.push_back(make_stream());
      events_.push_back(make_event());
    }
  }

  Shape chain(std::size_t blocks) const;
  Shape ping_pong() const;
  Shape forks(std::size_t width) const;

  std::vector<Gaps> run(const Shape& shape, bool as_graph) const;
  std::size_t sms() const { return sms_; }

 private:
  static constexpr std::size_t kStreams = 8;  ///< As many as the widest fork has branches.

  cudaStream_t stream(std::size_t i) const { return streams_.at(i).get(); }

  void spin(std::size_t kernel, std::size_t blocks, std::size_t in_stream) const {
    BUBBLESCOPE_CHECK(launch_spin({.stamps = stamps_.data() + kernel * blocks,
                                   .nanoseconds = kSpin.count(),
                                   .blocks = static_cast<unsigned int>(blocks)},
                                  stream(in_stream)));
  }

  void record(std::size_t in_stream) const {
    BUBBLESCOPE_CHECK(cudaEventRecord(events_.at(in_stream).get(), stream(in_stream)));
  }

  /// What comes next in stream `later` waits for what was last recorded in stream `earlier`.
  void wait(std::size_t later, std::size_t earlier) const {
    BUBBLESCOPE_CHECK(cudaStreamWaitEvent(stream(later), events_.at(earlier).get()));
  }

  std::size_t sms_;
  DeviceBuffer<BlockStamp> stamps_;
  DeviceBuffer<BlockStamp> gate_stamp_;
  std::vector<Stream> streams_;
  std::vector<Event> events_;  ///< One a stream; a wait is for the record before it.
};

std::vector<Gaps> gaps_in_a_row(const std::vector<Interval>& kernels) {
  Gaps gaps{"kernels", {}};
  for (std::size_t i = 1; i < kernels.size(); ++i)
    gaps.us.push_back(to_us(kernels[i].start - kernels[i - 1].end));
  return {gaps};
}

Shape Bench::chain(std::size_t blocks) const {
  return {"chain", kChain, blocks,
          [=, this] {
            for (std::size_t i = 0; i < kChain; ++i)
              spin(i, blocks, 0);
          },
          gaps_in_a_row};
}

Shape Bench::ping_pong() const {
  return {"two streams in turn, by events", kChain, 1,
          [this] {
            for (std::size_t i = 0; i < kChain; ++i) {
              if (i > 0)
                wait(i % 2, (i - 1) % 2);
              spin(i, 1, i % 2);
              record(i % 2);
            }
          },
          gaps_in_a_row};
}

// Kernel i · (width + 1) is the root of fork i; its branches follow, and the next root joins them.
Shape Bench::forks(std::size_t width) const {
  const auto enqueue = [=, this] {
    for (std::size_t fork = 0; fork < kForks; ++fork) {
      const std::size_t root = fork * (width + 1);
      spin(root, 1, 0);
      record(0);
      for (std::size_t branch = 0; branch < width; ++branch) {
        if (branch > 0)
          wait(branch, 0);
        spin(root + 1 + branch, 1, branch);
      }
      for (std::size_t branch = 1; branch < width; ++branch) {
        record(branch);
        wait(0, branch);
      }
    }
    spin(kForks * (width + 1), 1, 0);
  };
  const auto gaps = [=](const std::vector<Interval>& kernels) {
    Gaps at_fork{"root and each branch", {}};
    Gaps at_join{"last branch and join", {}};
    for (std::size_t fork = 0; fork < kForks; ++fork) {
      const std::size_t root = fork * (width + 1);
      std::int64_t last = std::numeric_limits<std::int64_t>::min();
      for (std::size_t branch = root + 1; branch <= root + width; ++branch) {
        at_fork.us.push_back(to_us(kernels[branch].start - kernels[root].end));
        last = std::max(last, kernels[branch].end);
      }
      at_join.us.push_back(to_us(kernels[root + width + 1].start - last));
    }
    return std::vector<Gaps>{at_fork, at_join};
  };
  return {"fork of " + std::to_string(width), kForks * (width + 1) + 1, 1, enqueue, gaps};
}

/// Repeats a shape behind a kernel that holds it back until all of it is queued, so that the gaps
/// are the device's and not the host's.
std::vector<Gaps> Bench::run(const Shape& shape, bool as_graph) const {
  const Graph graph = as_graph ? capture(stream(0), shape.enqueue) : Graph();
  std::vector<Gaps> all;
  for (int repeat = 0; repeat <= kRepeats; ++repeat) {
    BUBBLESCOPE_CHECK(
        launch_spin({.stamps = gate_stamp_.data(), .nanoseconds = kGate.count()}, stream(0)));
    const auto begin = steady_clock::now();
    if (as_graph)
      BUBBLESCOPE_CHECK(cudaGraphLaunch(graph.get(), stream(0)));
    else
      shape.enqueue();
    const nanoseconds queueing = steady_clock::now() - begin;
    for (const Stream& used : streams_)
      BUBBLESCOPE_CHECK(cudaStreamSynchronize(used.get()));
    if (repeat == 0 || queueing >= kGate)
      continue;  // the warm-up, or the host was too slow
    const std::vector<BlockStamp> stamps = stamps_.download();
    std::vector<Interval> kernels;
    for (std::size_t i = 0; i < shape.kernels; ++i)
      kernels.push_back(interval_of({stamps.data() + i * shape.blocks, shape.blocks}));
    const std::vector<Gaps> gaps = shape.gaps(kernels);
    all.resize(gaps.size());
    for (std::size_t i = 0; i < gaps.size(); ++i) {
      all[i].between = gaps[i].between;
      all[i].us.insert(all[i].us.end(), gaps[i].us.begin(), gaps[i].us.end());
    }
  }
  return all;
}

}  // namespace

std::vector<Table> measure_gaps(const Device& device) {
  const Bench bench(device);
  Table table{
      .name = "kernel_gaps",
      .title = "kernel gaps: end of one kernel to start of the next",
      .columns = with_spread({{"shape"}, {"gap_between"}, {"launched_by"}, {"blocks"}}, "us", 3)};
  const auto add = [&](const Shape& shape, bool as_graph) {
    const std::string launched_by = as_graph ? "graph" : "streams";
    const std::vector<Gaps> all = bench.run(shape, as_graph);
    if (all.empty())
      table.notes.push_back(shape.name + ", " + launched_by +
                            ": the host was too slow to queue it");
    for (const Gaps& gaps : all)
      table.rows.push_back(with_spread(
          {shape.name, gaps.between, launched_by, static_cast<std::int64_t>(shape.blocks)},
          spread_of(gaps.us)));
  };
  for (const std::size_t blocks : {std::size_t{1}, bench.sms()})
    for (const bool as_graph : {false, true})
      add(bench.chain(blocks), as_graph);
  add(bench.ping_pong(), false);
  for (const std::size_t width : {std::size_t{2}, std::size_t{8}})  // 8: a pipeline's ranks
    for (const bool as_graph : {false, true})
      add(bench.forks(width), as_graph);
  return {table};
}

}  // namespace bubblescope::gpu

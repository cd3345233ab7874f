#include "tests/bench/kernel.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "sim/engine/simulate.h"
#include "tests/bench/measure.h"
#include "tests/bench/prediction.h"

namespace bubblescope::bench {
namespace {

/// A graph as plain arrays, and where each node's start and end go: the two by turns.
struct BareGraph {
  std::size_t nodes;
  const EdgeId* first_edge;
  const NodeId* producer;
  const std::int64_t* lag;
  const std::int64_t* duration;
  std::int64_t* start_end;
};

const std::int64_t* plain(std::span<const Time> times) {
  static_assert(sizeof(Time) == sizeof(std::int64_t));
  return reinterpret_cast<const std::int64_t*>(times.data());
}

BareGraph bare(const DependencyGraph& graph, std::span<Span> spans) {
  static_assert(sizeof(Span) == 2 * sizeof(std::int64_t));
  return {.nodes = graph.size(),
          .first_edge = graph.first_edge().data(),
          .producer = graph.producer().data(),
          .lag = plain(graph.lag().given()),
          .duration = plain(graph.duration()),
          .start_end = reinterpret_cast<std::int64_t*>(spans.data())};
}

/// The yardstick: as little work a node and an edge as the question allows.
[[gnu::noinline]] void bare_sweep(const BareGraph& graph) {
  const EdgeId* __restrict first_edge = graph.first_edge;
  const NodeId* __restrict producer = graph.producer;
  const std::int64_t* __restrict lag = graph.lag;
  const std::int64_t* __restrict duration = graph.duration;
  std::int64_t* start_end = graph.start_end;
  EdgeId edge = 0;
  for (std::size_t node = 0; node < graph.nodes; ++node) {
    const EdgeId end = first_edge[node + 1];
    std::int64_t start = 0;
    for (; edge < end; ++edge) {
      const std::int64_t ready = start_end[2 * std::size_t{producer[edge]} + 1] + lag[edge];
      start = ready > start ? ready : start;
    }
    start_end[2 * node] = start;
    start_end[2 * node + 1] = start + duration[node];
  }
}

KernelFigures run_kernels(Shape shape, int pairs, int event_repeats) {
  const DependencyGraph graph = workload_graph(shape);
  FlatArray<Span> ours(graph.size());
  FlatArray<Span> theirs(graph.size());
  const BareGraph plain_graph = bare(graph, theirs);
  sweep(graph, ours);  // both once unmeasured, which also makes their pages present
  bare_sweep(plain_graph);
  if (ours != theirs || simulate(graph, Engine::Events).spans != ours)
    throw std::runtime_error("sweep, bare sweep and event queue disagree");
  std::vector<double> sweep_ms, bare_ms, ratios, events_ms;
  for (int i = 0; i < pairs; ++i) {
    Stopwatch watch;
    sweep(graph, ours);
    sweep_ms.push_back(watch.lap_ms());
    bare_sweep(plain_graph);
    bare_ms.push_back(watch.lap_ms());
    ratios.push_back(bare_ms.back() / sweep_ms.back());
  }
  for (int i = 0; i < event_repeats; ++i) {
    Stopwatch watch;
    const Timeline timeline = simulate(graph, Engine::Events);
    events_ms.push_back(watch.lap_ms());
  }
  return {median(sweep_ms), median(bare_ms), median(ratios), median(events_ms)};
}

double best_copy() {
  constexpr std::size_t kCount = (std::size_t{256} << 20) / sizeof(double);
  constexpr int kCopies = 9;
  std::vector<double> from(kCount, 1.0);
  std::vector<double> to(kCount, 2.0);
  double best_ms = 1e300;
  for (int i = 0; i < kCopies; ++i) {
    from[static_cast<std::size_t>(i)] = i;
    Stopwatch watch;
    std::copy(from.begin(), from.end(), to.begin());
    best_ms = std::min(best_ms, watch.lap_ms());
    if (to[static_cast<std::size_t>(i)] != i)
      throw std::runtime_error("a copy failed");
  }
  return 2.0 * static_cast<double>(kCount * sizeof(double)) / (best_ms / 1e3);
}

}  // namespace

KernelFigures measure_kernels(Shape shape, int pairs, int event_repeats) {
  return in_child([=] { return run_kernels(shape, pairs, event_repeats); });
}

double measure_copy_bandwidth() {
  return in_child(best_copy);
}

}  // namespace bubblescope::bench

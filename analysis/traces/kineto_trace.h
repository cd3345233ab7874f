// A Timeline as PyTorch's profiler (Kineto) would have written it, a trace for each rank, so that
// its analyzers read it.
#pragma once

#include <vector>

#include "analysis/traces/sink.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

/// Actions are kernels of stream 7, named by kind; below them lie ranges such as "PP:0F3". Each
/// message is an "ncclDevKernel_SendRecv" on a stream from 20 on, at its sender and at its
/// receiver; ideal messages occupy no one and are none. Each kernel has a launch with its
/// correlation, when the one before it on its stream starts, so that no gap is the host's.
/// ProfilerStep#0 lasts the whole step, and all ranks share a clock that begins with it:
///
///     {"schemaVersion": 1, …"distributedInfo": {"backend": "nccl", "rank": 0, "world_size": 4},…
///     {"ph":"X","cat":"kernel","name":"pipeline_forward","pid":0,"tid":7,"ts":0.000,"dur":10.000,
///      "args":{"device":0,"context":1,"stream":7,"correlation":1,"action":"0F0"}}
class KinetoTraces {
 public:
  /// Both have to outlive it.
  KinetoTraces(const DependencyGraph& graph, const Timeline& timeline);

  int ranks() const { return graph_.schedule().placement.ranks; }
  /// The whole trace of a rank.
  void write(Rank rank, const Sink& sink) const;

 private:
  const DependencyGraph& graph_;
  const Timeline& timeline_;
  Span step_{};
  std::vector<std::vector<NodeId>> actions_;   // [rank] by start
  std::vector<std::vector<NodeId>> messages_;  // [rank] that it sends or receives, by start
};

}  // namespace bubblescope

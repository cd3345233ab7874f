// A Timeline as Chrome trace JSON, for Perfetto and its relatives.
#pragma once

#include "analysis/traces/sink.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

/// One process a rank. Its thread 1 has the actions, thread 2 the bubbles, greyed and named by
/// cause, those that follow the activations or gradients from one rank each, where the program
/// spells them out; a counter follows the live activations; arrows lead from an output to the
/// action that waits for it. Time stamps start at 0 and are exact: µs with three decimals. An
/// event:
///
///     {"ph":"X","pid":0,"tid":1,"ts":0.000,"dur":10.000,"name":"F0","cname":"rail_response",
///      "args":{"action":"0F0"}}
void write_chrome_trace(const DependencyGraph& graph, const Timeline& timeline, const Sink& sink);

/// Both of one graph.
struct TimelinePair {
  const Timeline& predicted;
  const Timeline& measured;
};

/// The measured one as above, but that in each rank thread 1 has the actions as predicted, and all
/// that is measured stands below.
void write_chrome_trace(const DependencyGraph& graph, const TimelinePair& timelines,
                        const Sink& sink);

}  // namespace bubblescope

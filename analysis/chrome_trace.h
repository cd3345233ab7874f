// A Timeline as Chrome trace JSON, for Perfetto and its relatives.
#pragma once

#include <functional>
#include <string_view>

#include "analysis/measurement.h"
#include "sim/dependency_graph.h"
#include "sim/timeline.h"

namespace bubblescope {

/// Takes the next piece of an output.
using Sink = std::function<void(std::string_view)>;

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

/// A run that did not come to its end, with the fault among "otherData". One process a rank, whose
/// thread 1 has the actions and those behind it the messages that it receives, each as far as it
/// came: what had begun and not ended, or was waited for, lasts until a little after the last
/// moment known, is red, and says so.
void write_partial_trace(const RunRecord& run, const Sink& sink);

}  // namespace bubblescope

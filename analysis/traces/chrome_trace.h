// A Timeline as Chrome trace JSON, for Perfetto and its relatives.
#pragma once

#include "analysis/figures/analysis.h"
#include "analysis/traces/sink.h"

namespace bubblescope {

/// One process a rank. Its thread 1 has the actions, thread 2 the bubbles, greyed and named by
/// cause, those that follow the activations or gradients from one rank each, where the program
/// spells them out; a counter follows the live activations; arrows lead from an output to the
/// action that waits for it. Time stamps start at 0 and are exact: µs with three decimals. An
/// event:
///
///     {"ph":"X","pid":0,"tid":1,"ts":0.000,"dur":10.000,"name":"F0","cname":"rail_response",
///      "args":{"action":"0F0"}}
///
/// Beside what was `predicted` of the same graph, the run is one that was measured: in each rank
/// thread 1 has the actions as predicted, and all that was measured stands below.
void write_chrome_trace(const Analysis& run, const Sink& sink, const Timeline* predicted = nullptr);

}  // namespace bubblescope

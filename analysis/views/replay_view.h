// One replayed run in figures, as `simulate` has them, and how often it was measured:
//
//     1f1b, measured on host, virtual clock: 4 ranks, 8 micro-batches, ideal communication
//
//     figure                 value  meaning
//     step time         330.000 µs  last end − first start
//     …
//
//     measured: 1 step
//
// Read: the figures are those of the step whose length is the median, here of the only one.
//
// In JSON the run itself too:
//
//     {"format": "bubblescope-timeline/1", "source": "host, virtual clock", "schedule": "1f1b", …,
//      "actions": [{"rank": 0, "action": "0F0", "start_ns": 0, "end_ns": 10000}, …],
//      "messages": [{"output": "0F0", "from": 0, "to": 1, "start_ns": 10000, "end_ns": 11000}, …]}
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "analysis/figures/format.h"
#include "analysis/figures/measurement.h"
#include "analysis/figures/report.h"

namespace bubblescope {

/// `report` and `record` are of the step whose length is the median.
struct ReplayResult {
  Report report = {};
  RunRecord record = {};
  Measurement measurement = {};
};

std::string replay_view(const ReplayResult& result, const Style& style);

/// "backend", "device", "clock", "workload", "noise", "step_times_ns", "parity" and, off the
/// virtual clock, "machine", "command" and "date": added to `json`.
void add_measurement(const Measurement& measurement, nlohmann::ordered_json& json);

/// "5 steps, ± 0.12 %"
std::string steps_words(const Measurement& measurement);
/// "parity: …"; empty where there is none.
std::string parity_words(const Measurement& measurement);

}  // namespace bubblescope

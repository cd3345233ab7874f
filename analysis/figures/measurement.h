// Where and how a run was measured, and the run itself in plain records, whole or not.
#pragma once

#include <string>
#include <vector>

#include "sim/engine/measured_steps.h"
#include "sim/schedule/op.h"

namespace bubblescope {

struct Measurement : MeasuredSteps {
  std::string backend = {};    ///< "host"
  std::string workload = {};   ///< "timed"
  bool virtual_clock = false;  ///< Then nothing was measured: the clock follows the costs.
  std::string command = {};    ///< Empty with a virtual clock, as the next.
  std::string date = {};       ///< UTC, ISO 8601.

  /// A single step on a real clock does not show it.
  bool is_noise_known() const { return virtual_clock || step_times.size() > 1; }
};

// Moments of a record count from the first action; kNever where they have not come.

struct RecordedAction {
  Rank rank;
  Action action;
  Span span;
};

struct RecordedMessage {
  Op output;  ///< Of an F, or a gradient, named by its `I`.
  Rank from;
  Rank to;
  Span span;                    ///< From when both ends were there to arrival.
  Time awaited_since = kNever;  ///< When the receiver was there; kNever if messages are eager.
};

struct RunRecord {
  std::string schedule = {};
  int ranks = 0;
  int microbatches = 0;
  std::string source = {};
  std::string fault = {};                    ///< Why it did not come to its end.
  std::vector<RecordedAction> actions = {};  ///< Rank after rank, each in its order.
  std::vector<RecordedMessage> messages = {};
};

}  // namespace bubblescope

// Where and how a run was measured, and the run itself in plain records, whole or not.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/base/types.h"
#include "sim/schedule/op.h"

namespace bubblescope {

/// How far a run is from an unpipelined one of the same model on the same data.
struct ParityFigures {
  double loss_error = 0;      ///< |difference| / |reference|
  double gradient_error = 0;  ///< Largest over all tensors.
  std::string worst_tensor = {};
  double tolerance = 0;  ///< For both.
  bool holds = true;
};

struct Measurement {
  std::string backend = {};    ///< "host"
  std::string workload = {};   ///< "timed"
  bool virtual_clock = false;  ///< Then nothing was measured: the clock follows the costs.
  /// {"device", "NVIDIA H200"}, …
  std::vector<std::pair<std::string, std::string>> machine = {};
  std::vector<Time> step_times = {};
  double noise = 0;  ///< Half the distance from the shortest to the longest step / the median.
  Time clock_uncertainty{};  ///< By how much a rank's moments may be wrong by the common clock.
  std::optional<ParityFigures> parity = {};
  std::string command = {};  ///< Empty with a virtual clock, as the next.
  std::string date = {};     ///< UTC, ISO 8601.

  /// "NVIDIA H200"
  std::string device() const;
  /// Of one step on a real clock nobody knows it.
  bool is_noise_known() const { return virtual_clock || step_times.size() > 1; }
  /// By which fraction a step may be off: the noise, and the clocks at its start and its end.
  double uncertainty() const;
};

/// Moments count from the first action; none where they have not come.
struct RecordedSpan {
  std::optional<Time> start = {};
  std::optional<Time> end = {};
};

struct RecordedAction {
  Rank rank;
  Action action;
  RecordedSpan span;
};

struct RecordedMessage {
  Op output;  ///< Of an F, or a gradient, named by its `I`.
  Rank from;
  Rank to;
  RecordedSpan span;  ///< From when both ends were there to arrival.
  std::optional<Time> awaited_since =
      {};  ///< When the receiver was there; none if messages are eager.
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

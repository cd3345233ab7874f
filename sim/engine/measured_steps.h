// Steps that a machine ran, as executors measure them and reports show them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/engine/timeline.h"

namespace bubblescope {

/// A moment that has not come.
constexpr Time kNever = Time::min();

/// Facts about the machine, in the order in which reports tell them: {"device", "NVIDIA H200"}.
/// The first is "device". Clocks and partitions are among them where there are any.
using MachineFacts = std::vector<std::pair<std::string, std::string>>;

/// How far the run is from one unpipelined run of the same model on the same data.
struct Parity {
  double loss = 0;                ///< Sum over micro-batches, of the last run.
  double reference_loss = 0;      ///< The unpipelined run's.
  double loss_error = 0;          ///< |difference| / |reference|
  double gradient_error = 0;      ///< Largest over all tensors: |difference| / largest |entry|.
  std::string worst_tensor = {};  ///< "stage 3, block 0, W1"
  double tolerance = 0;           ///< For both errors.

  bool holds() const { return loss_error <= tolerance && gradient_error <= tolerance; }
};

struct MeasuredSteps {
  MachineFacts machine = {};
  std::vector<Time> step_times = {};  ///< [repeat] last end of an action − first start of one.
  Time clock_uncertainty{};  ///< By how much a rank's moments may be wrong by the common clock.
  std::optional<Parity> parity = {};

  /// "NVIDIA H200"
  std::string device() const;
  Time step_time() const;  ///< The median of at least one.
  /// Half the distance from the shortest to the longest step, as a fraction of the median; 0 for
  /// one.
  double noise() const;
  /// By which fraction a step may be off: the noise, and the clocks at its start and its end.
  double uncertainty() const;
};

}  // namespace bubblescope
